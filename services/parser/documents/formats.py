"""The formats that are read. What a file is, `recognition` tells in the child. Stdlib alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath


class Reader(Enum):
    """What reads a format; see `reading`."""

    PDF = "pdf"
    DOCX = "docx"
    DOC = "doc"
    PPTX = "pptx"
    PPT = "ppt"
    XLSX = "xlsx"
    XLS = "xls"
    OPENDOCUMENT = "opendocument"
    RTF = "rtf"
    EPUB = "epub"
    HTML = "html"
    MAIL = "mail"
    OUTLOOK = "outlook"
    NOTEBOOK = "notebook"
    TABLE = "table"
    JSON = "json"
    JSON_LINES = "jsonl"
    XML = "xml"
    RST = "rst"
    MARKDOWN = "markdown"
    CODE = "code"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is read.

    Attributes:
        name: Stable: "pdf".
        label: For people: "PDF".
        suffixes: Lower case, with the dot.
        reader: What reads it.
        is_text: Whether any text of the name's suffix is one, whatever it begins with.
    """

    name: str
    label: str
    suffixes: tuple[str, ...]
    reader: Reader
    is_text: bool = False


PDF = Format("pdf", "PDF", (".pdf",), Reader.PDF)
DOCX = Format("docx", "Word", (".docx", ".docm", ".dotx", ".dotm"), Reader.DOCX)
DOC = Format("doc", "Word 97", (".doc", ".dot"), Reader.DOC)
PPTX = Format("pptx", "PowerPoint", (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), Reader.PPTX)
PPT = Format("ppt", "PowerPoint 97", (".ppt", ".pps", ".pot"), Reader.PPT)
XLSX = Format("xlsx", "Excel", (".xlsx", ".xlsm", ".xltx", ".xltm"), Reader.XLSX)
XLS = Format("xls", "Excel 97", (".xls", ".xlt"), Reader.XLS)
ODT = Format("odt", "OpenDocument text", (".odt", ".ott"), Reader.OPENDOCUMENT)
ODS = Format("ods", "OpenDocument sheet", (".ods", ".ots"), Reader.OPENDOCUMENT)
ODP = Format("odp", "OpenDocument slides", (".odp", ".otp"), Reader.OPENDOCUMENT)
RTF = Format("rtf", "RTF", (".rtf",), Reader.RTF)
EPUB = Format("epub", "EPUB", (".epub",), Reader.EPUB)
HTML = Format("html", "HTML", (".html", ".htm", ".xhtml"), Reader.HTML, is_text=True)
MAIL = Format("eml", "e-mail", (".eml", ".mht", ".mhtml"), Reader.MAIL, is_text=True)
OUTLOOK = Format("msg", "Outlook message", (".msg",), Reader.OUTLOOK)
NOTEBOOK = Format("ipynb", "Jupyter notebook", (".ipynb",), Reader.NOTEBOOK, is_text=True)
CSV = Format("csv", "CSV", (".csv",), Reader.TABLE, is_text=True)
TSV = Format("tsv", "TSV", (".tsv", ".tab"), Reader.TABLE, is_text=True)
JSON = Format("json", "JSON", (".json", ".geojson"), Reader.JSON, is_text=True)
JSONL = Format("jsonl", "JSON Lines", (".jsonl", ".ndjson"), Reader.JSON_LINES, is_text=True)
XML = Format("xml", "XML", (".xml", ".rss", ".atom", ".docbook", ".dbk"), Reader.XML, is_text=True)
RST = Format("rst", "reStructuredText", (".rst", ".rest"), Reader.RST, is_text=True)
MARKDOWN = Format(
    "markdown", "Markdown", (".md", ".markdown", ".mdown", ".mkd"), Reader.MARKDOWN, is_text=True
)
CODE = Format(
    "code",
    "source code",
    (
        ".bash", ".bat", ".c", ".cc", ".cfg", ".clj", ".cmake", ".cpp", ".cs", ".css", ".cxx", ".dart",
        ".diff", ".erl", ".ex", ".exs", ".f90", ".fs", ".go", ".gradle", ".groovy", ".h", ".hcl", ".hh",
        ".hpp", ".hs", ".ini", ".java", ".jl", ".js", ".jsx", ".kt", ".kts", ".lua", ".m", ".mjs", ".ml",
        ".nix", ".patch", ".php", ".pl", ".pm", ".properties", ".proto", ".ps1", ".py", ".pyi", ".r",
        ".rb", ".rs", ".sass", ".scala", ".scss", ".sh", ".sql", ".svelte", ".swift", ".tcl", ".tex",
        ".tf", ".toml", ".ts", ".tsx", ".vb", ".vue", ".yaml", ".yml", ".zig", ".zsh",
    ),
    Reader.CODE,
    is_text=True,
)  # fmt: skip
TEXT = Format("text", "plain text", (".txt", ".text", ".log"), Reader.TEXT, is_text=True)
FORMATS = (
    PDF, DOCX, DOC, PPTX, PPT, XLSX, XLS, ODT, ODS, ODP, RTF, EPUB, HTML, MAIL, OUTLOOK, NOTEBOOK, CSV, TSV,
    JSON, JSONL, XML, RST, MARKDOWN, CODE, TEXT,
)  # fmt: skip
_BY_SUFFIX = {suffix: each for each in FORMATS for suffix in each.suffixes}


def promised(filename: str) -> Format | None:
    """What a file's name says that it is."""
    return _BY_SUFFIX.get(PurePosixPath(filename.replace("\\", "/")).suffix.lower())
