"""Write the pages on the reproductions from the records: python reproduce/page.py."""

from page_parts import DOCS
from page_popsteer import popsteer_page
from page_resn import resn_page

if __name__ == "__main__":
    resn_page().to_markdown(DOCS / "reproduction-resn.md")
    popsteer_page().to_markdown(DOCS / "reproduction-popsteer.md")
