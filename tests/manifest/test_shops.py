"""Exports of shops as they are: Shopify's products, Google's Merchant feeds."""

from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.models import Edit
from tests.manifest.reading import edits, problem, read, write

HEADER = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,"
    "Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Price,Image Src,"
    "Image Position,Image Alt Text,Gift Card,Variant Image,Variant Barcode,Status\n"
)
CDN = "https://cdn.shopify.com/s/files/1/"
SHOPIFY = (
    HEADER
    + 'mug,Blue mug,<p>A <b>mug</b> &amp; saucer</p>,Hearth,Home > Mugs,Mug,"blue, gift",TRUE,'
    + f"Color,Blue,Size,S,MUG-B-S,9.5,{CDN}front.jpg,1,Front,FALSE,{CDN}front.jpg,,active\n"
    + f"mug,,,,,,,,,Blue,,L,MUG-B-L,11,{CDN}red.jpg?v=2,2,,,{CDN}front.jpg,,\n"
    + f"mug,,,,,,,,,Red,,L,MUG-R-L,11,,,,,{CDN}red.jpg?v=2,,\n"
    + f"mug,,,,,,,,,,,,,,{CDN}detail.jpg,3,The handle,,,,\n"
    + "card,Gift card,,Hearth,,Gift,,TRUE,Title,Default Title,,,CARD,25,,,,TRUE,,,active\n"
    + f"vase,Vase,,Hearth,,Vase,,TRUE,Title,Default Title,,,VASE,20,{CDN}v.jpg,1,,,,,draft\n"
)


def test_a_shopify_export_is_an_edit_for_each_picture(tmp_path: Path) -> None:
    found = edits(write(tmp_path, SHOPIFY), prompt="{{ title }} ({{ type }}) by {{ vendor }}")
    assert [edit.id for edit in found] == ["mug-1", "mug-2", "mug-3", "vase-1"]
    assert [edit.place for edit in found] == [f"shoes.csv:{row}" for row in (2, 3, 5, 7)]
    assert {edit.prompt for edit in found[:3]} == {"Blue mug (Mug) by Hearth"}
    assert [edit.images[0].kind for edit in found] == ["url"] * 4


def test_a_picture_knows_its_product_and_its_variants(tmp_path: Path) -> None:
    front, red, detail, vase = edits(write(tmp_path, SHOPIFY))
    assert front.variables["description"] == "A mug & saucer"
    assert front.variables["tags"] == "blue, gift"
    assert front.variables["category"] == "Home > Mugs"
    colours = [edit.variables["option1"] for edit in (front, red, detail, vase)]
    assert colours == ["Blue", "Red", "", ""]
    sizes = [edit.variables["option2"] for edit in (front, red, detail)]
    assert sizes == ["", "L", ""]
    assert [e.variables["sku"] for e in (front, red, detail, vase)] == [
        "MUG-B-S",
        "MUG-R-L",
        "MUG-B-S",
        "VASE",
    ]
    assert [e.variables["alt_text"] for e in (front, red, detail)] == ["Front", "", "The handle"]
    assert [e.variables["position"] for e in (front, red, detail)] == ["1", "2", "3"]


def test_the_newer_column_names_of_shopify_are_known(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Title,URL handle,Description,Vendor,Type,Tags,Status,SKU,Option1 name,Option1 value,"
        "Product image URL,Image position,Image alt text,Variant image URL\n"
        f"Mug,mug,<p>blue</p>,Hearth,Mug,,Active,M-1,Color,Blue,{CDN}a.jpg,1,Front,\n"
        f",mug,,,,,,,,,{CDN}b.jpg,2,,\n",
    )
    first, second = edits(path)
    assert (first.id, second.id) == ("mug-1", "mug-2")
    assert second.variables["sku"] == "M-1"
    assert second.variables["description"] == "blue"


def test_ids_may_be_skus_and_other_columns_may_be_asked_for(tmp_path: Path) -> None:
    found = edits(
        write(tmp_path, SHOPIFY),
        columns={"id": ("Variant SKU",), "published": ("Published",)},
    )
    assert [edit.id for edit in found] == ["MUG-B-S-1", "MUG-R-L-2", "MUG-B-S-3", "VASE-1"]
    assert {edit.variables["published"] for edit in found} == {"TRUE"}
    with pytest.raises(ManifestError, match=r"no column 'Varient SKU' .*'Variant SKU'"):
        read(write(tmp_path, SHOPIFY), columns={"id": ("Varient SKU",)})


def test_a_picture_that_only_a_variant_has_is_edited_too(tmp_path: Path) -> None:
    rows = f"mug,Mug,,,,,,,,,,,A,1,{CDN}a.jpg,1,,,{CDN}b.jpg,,\n"
    assert [edit.id for edit in edits(write(tmp_path, HEADER + rows))] == ["mug-1", "mug-2"]


def test_a_position_that_is_none_is_the_next_free_one(tmp_path: Path) -> None:
    rows = [f"mug,Mug,,,,,,,,,,,A,1,{CDN}{n}.jpg,{at},,,,,\n" for n, at in enumerate("²x0")]
    found = edits(write(tmp_path, HEADER + "".join(rows)))
    assert [edit.id for edit in found] == ["mug-1", "mug-2", "mug-3"]


def test_an_export_with_mixed_line_ends_is_read(tmp_path: Path) -> None:
    lines = SHOPIFY.splitlines()
    text = "\ufeff" + "".join([line + ("\r\n" if n % 2 else "\n") for n, line in enumerate(lines)])
    assert len(edits(write(tmp_path, text))) == 4


def test_rows_of_a_product_stand_together(tmp_path: Path) -> None:
    rows = [f"{h},T,,,,,,,,,,,,,{CDN}{n}.jpg,{n},,,,,\n" for n, h in ((1, "a"), (2, "b"), (3, "a"))]
    found = problem(write(tmp_path, HEADER + "".join(rows)))
    assert str(found) == (
        "shoes.csv:4: product 'a' has rows further up, in row 2: the rows of a product stand"
        " together (sort by Handle)"
    )


def test_a_problem_names_the_product(tmp_path: Path) -> None:
    rows = "mug,Mug,,,,,,,,,,,,,https://user:pw@x.test/a.jpg,1,,,,,\n"
    found = problem(write(tmp_path, HEADER + rows))
    assert str(found).startswith("shoes.csv:2: product 'mug': image URL at x.test holds a password")


def test_an_export_can_be_read_as_the_table_that_it_is(tmp_path: Path) -> None:
    rows = HEADER + "mug,Mug,,,,,,,,,,,,,a.jpg,1,,,,,\n"
    mapping = {"id": ("Handle",), "images": ("Image Src",)}
    assert [edit.id for edit in edits(write(tmp_path, rows), columns=mapping)] == ["mug"]
    with pytest.raises(ManifestError, match="no column 'images'"):
        read(write(tmp_path, rows), format="table")
    with pytest.raises(ManifestError, match="no column 'handle', which a Shopify export has"):
        read(write(tmp_path, "id,images\na,a.jpg\n"), format="shopify")


# --- Google Merchant Center

ITEMS = """
<item><g:id>TV_1</g:id><g:title>A &amp; B</g:title>
 <g:description>&lt;b&gt;big&lt;/b&gt; tv</g:description>
 <g:image_link>https://x.test/1.jpg</g:image_link>
 <g:additional_image_link>https://x.test/2.jpg</g:additional_image_link>
 <g:additional_image_link>https://x.test/3.jpg</g:additional_image_link>
 <g:shipping><g:country>US</g:country><g:price>5 USD</g:price></g:shipping>
 <g:product_type>Home &gt; TV</g:product_type><g:color>black</g:color></item>
"""
RSS = (
    '<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>'
    "<title>Shop</title><link>https://x.test</link>" + ITEMS + "</channel></rss>"
)
ATOM = (
    '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"'
    ' xmlns:g="http://base.google.com/ns/1.0"><title>Shop</title>'
    '<entry><g:id>a</g:id><title>Mug</title><link href="https://x.test/mug"/>'
    "<g:image_link>https://x.test/m.jpg</g:image_link></entry></feed>"
)
TSV = (
    "id\ttitle\timage link\tadditional image link\titem group id\tsize\tcolor\n"
    "s-1\tShirt\thttps://x.test/s.jpg\thttps://x.test/b.jpg, https://x.test/c,d.jpg\tg\tS\tred\n"
    "s-2\tShirt\thttps://x.test/s.jpg\t\tg\tM\tred\n"
    "s-3\tShirt\thttps://x.test/blue.jpg\t\tg\tM\tblue\n"
)


def test_a_merchant_feed_is_an_edit_for_each_picture(tmp_path: Path) -> None:
    found = edits(write(tmp_path, RSS, "feed.xml"), prompt="{{ title }}, {{ color }}")
    assert [edit.id for edit in found] == ["TV_1-1", "TV_1-2", "TV_1-3"]
    assert [edit.images[0].source[-5:] for edit in found] == ["1.jpg", "2.jpg", "3.jpg"]
    assert {edit.prompt for edit in found} == {"A & B, black"}
    assert {edit.place for edit in found} == {"feed.xml:2"}
    assert found[0].variables["description"] == "big tv"
    assert found[0].variables["product_type"] == "Home > TV"
    assert found[0].variables["brand"] == ""


def test_an_atom_feed_is_one_too(tmp_path: Path) -> None:
    (edit,) = edits(write(tmp_path, ATOM, "feed.xml"))
    assert (edit.id, edit.variables["title"]) == ("a-1", "Mug")
    assert edit.variables["link"] == "https://x.test/mug"


def test_googles_word_counts_where_an_entry_has_an_id_of_its_own(tmp_path: Path) -> None:
    text = ATOM.replace("<g:id>a", "<id>tag:x.test,2026:mug</id><g:id>a")
    assert [edit.id for edit in edits(write(tmp_path, text, "feed.xml"))] == ["a-1"]
    text = RSS.replace("g:", "").replace("<id>", "<g:title>Better</g:title><id>")
    assert edits(write(tmp_path, text, "feed.xml"))[0].variables["title"] == "Better"


def test_a_group_is_its_values_however_the_feed_is_laid_out(tmp_path: Path) -> None:
    text = RSS.replace("<g:country>", "\n   <g:country>").replace("<g:price>", "\n   <g:price>")
    text = text.replace("</g:shipping>", "\n  </g:shipping>").replace("A &amp; B", "Sizes:")
    found = edits(write(tmp_path, text, "feed.xml"), columns={"ships": ("shipping",)})
    assert found[0].variables["ships"] == "US:5 USD"
    assert found[0].variables["title"] == "Sizes:"


def test_a_byte_order_mark_and_cdata_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + RSS.replace("A &amp; B", "<![CDATA[A & <B>]]>").replace("\n", "\r\n")
    assert edits(write(tmp_path, text, "feed.xml"))[0].variables["title"] == "A & <B>"


def test_a_feed_as_tsv_asks_once_for_what_variants_share(tmp_path: Path) -> None:
    found = edits(write(tmp_path, TSV, "feed.tsv"))
    assert [edit.id for edit in found] == ["s-1-1", "s-1-2", "s-1-3", "s-3-1"]
    assert found[2].images[0].source == "https://x.test/c,d.jpg"
    assert found[3].variables["color"] == "blue"
    assert {edit.variables["item_id"] for edit in found} == {"s-1", "s-3"}


def test_attributes_of_a_feed_may_be_mapped(tmp_path: Path) -> None:
    path = write(tmp_path, RSS, "feed.xml")
    (edit,) = edits(
        path, columns={"images": ("g:image_link",), "id": ("title",), "ships": ("shipping",)}
    )
    assert (edit.id, edit.variables["ships"]) == ("A & B-1", "US:5 USD")
    found = problem(path, columns={"id": ("titel",)})
    assert "there is no column 'titel' for 'id' (did you mean 'title'?)" in found.message


def test_items_are_given_out_as_they_come(tmp_path: Path) -> None:
    """The first edit is there although the feed ends in the middle of an item."""
    body = ITEMS * 2000
    found = iter(read_lazily(tmp_path, RSS.replace(ITEMS, body)[: len(body) // 2]))
    assert isinstance(next(found), Edit)
    with pytest.raises(ManifestError, match=r"feed\.xml:\d+: no well-formed XML"):
        list(found)


def read_lazily(folder: Path, text: str) -> object:
    from pipeline.manifest import read_manifests
    from tests.manifest.reading import MODEL

    path = write(folder, text.replace("TV_1", "same"), "feed.xml")
    return read_manifests([path], model=MODEL, root=None, prompt="x", parameters={})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><rss>&a;</rss>', "document type"),
        ('<!DOCTYPE rss SYSTEM "file:///etc/passwd"><rss/>', "document type"),
        ("<rss>&unknown;</rss>", "undefined entity"),
        ("<html><body/></html>", "a web page"),
        ("<catalog><item/></catalog>", r"feed\.xml:1: no product feed: its root is <catalog>"),
        ("<rss><channel/></rss>", "a feed without items"),
        ("<rss>" + "<a>" * 100, "nested too deeply"),
        ('<?xml version="1.0" encoding="no-such"?><rss/>', "its encoding is not read: 'no-such'"),
        ('<?xml version="1.0" encoding="shift_jis"?><rss/>', "its encoding is not read: 'shift_j"),
        ('<?xml version="1.0" encoding="hex"?><rss/>', "its encoding is not read: 'hex'"),
        ('<?xml version="1.0" encoding="idna"?><rss/>', "its encoding is not read: 'idna'"),
        ("<rss><item><title>" + "x" * 2_000_000, "an item of more than"),
        ("id,image_link\n", "no well-formed XML"),
    ],
)
def test_a_feed_that_is_none_or_hostile_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        read(write(tmp_path, text, "feed.xml"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_a_feed_says_its_encoding(tmp_path: Path, encoding: str) -> None:
    text = RSS.replace("A &amp; B", "Gr\u00f6\u00dfe").replace(
        'version="1.0"?', f'version="1.0" encoding="{encoding}"?'
    )
    found = edits(write(tmp_path, text.encode(encoding), "feed.xml"))
    assert found[0].variables["title"] == "Gr\u00f6\u00dfe"


def test_a_feed_in_another_encoding_than_it_says_is_refused(tmp_path: Path) -> None:
    data = RSS.replace("A &amp; B", "Gr\u00f6\u00dfe").encode("latin-1")
    with pytest.raises(ManifestError, match=r"feed\.xml:2: no well-formed XML"):
        read(write(tmp_path, data, "feed.xml"))


def test_an_item_without_a_picture_gives_no_edit_and_one_without_an_id_is_named(
    tmp_path: Path,
) -> None:
    items = (
        "<item><g:id>a</g:id></item><item><g:image_link>https://x.test/a.jpg</g:image_link></item>"
    )
    found = problem(write(tmp_path, RSS.replace(ITEMS, items), "feed.xml"))
    assert str(found).startswith("feed.xml:1: no id (there are image_link")
