"""The small parts of a workbook that results touch: styles, tables, names, content types and relations."""

import posixpath
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field

from batch_updater.inputs.archive import part_name
from batch_updater.inputs.excel.ranges import parse_range
from batch_updater.inputs.excel.worksheet import UserSheet
from batch_updater.reports.workbook.cells import COLOURS, xml_text
from batch_updater.reports.workbook.layout import Layout, UnsuitableError, range_text
from batch_updater.reports.workbook.splice import Element, Part

TYPES = "[Content_Types].xml"
_MOST_STYLES = 65_000  # Excel has 65,490
_PLAIN_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
_MACRO_TYPE = "application/vnd.ms-excel.sheet.macroEnabled.main+xml"
_FILL = (
    '<{p}fill><{p}patternFill patternType="solid"><{p}fgColor rgb="FF{colour}"/><{p}bgColor indexed="64"/>'
    "</{p}patternFill></{p}fill>"
)
_RANGE = re.compile(rb"\$[A-Z]{1,3}\$[0-9]+:\$[A-Z]{1,3}\$[0-9]+$")


@dataclass(slots=True)
class Changes:
    """What becomes of the parts of a workbook: new bytes by name, what is left out, styles by result word, notes."""

    parts: dict[str, bytes] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    styles: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Package:
    """The parts of a workbook and their relations; `names` are as they are compared, see `part_name`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._stored = {part_name(name): name for name in archive.namelist()}
        self.names = self._stored.keys()
        found = [target for _, target in self.related("", "/officeDocument")]
        self.book = found[0] if found else "xl/workbook.xml"

    def part(self, name: str) -> Part:
        """Return a part, read whole. Raises UnsuitableError when it is missing."""
        if part_name(name) not in self.names:
            raise UnsuitableError(f"its part {name} is missing")
        return Part(self._archive.read(self._stored[part_name(name)]))

    def relations(self, name: str) -> str:
        """Return the name of the part with the relations of another one, or of the package."""
        folder, file = posixpath.split(name)
        return posixpath.join(folder, "_rels", f"{file}.rels")

    def related(self, name: str, kind: str) -> Iterable[tuple[Element, str]]:
        """Yield the relations of this kind, each with the name of the part it leads to."""
        if part_name(self.relations(name)) not in self.names:
            return
        for relation in self.part(self.relations(name)).root.all("Relationship"):
            if relation.attributes.get("Type", "").endswith(kind) and "Target" in relation.attributes:
                target = relation.attributes["Target"].replace("\\", "/")
                absolute = posixpath.join("/", posixpath.dirname(name), target)
                yield relation, posixpath.normpath(absolute).lstrip("/")


def change_parts(archive: zipfile.ZipFile, sheet: UserSheet, layout: Layout, *, macros: bool) -> Changes:
    """Return how the small parts change; `macros` says whether the result file is named as one with macros.

    Raises UnsuitableError, SheetError.
    """
    package, changes = Package(archive), Changes()
    _check_macros(package, changes, macros=macros)
    _add_styles(package, changes)
    if layout.new:
        _grow_tables(package, sheet, layout, changes)
    if layout.filter:
        _grow_filter_name(package, sheet, layout, changes)
    if layout.overwrites_formulas:
        _drop(package, changes, package.book, "/calcChain")
    if _drop(package, changes, "", "/digital-signature/origin"):
        changes.dropped |= {name for name in package.names if name.startswith("_xmlsignatures/")}
        changes.notes.append("the workbook's digital signature is left out: it was for the file without the results")
    if changes.dropped:
        _forget_types(package, changes)
    return changes


def _check_macros(package: Package, changes: Changes, *, macros: bool) -> None:
    types = package.part(TYPES)
    found = types.data.count(_MACRO_TYPE.encode())
    if found and not macros:
        raise UnsuitableError("it has macros; name the result file .xlsm to keep them")
    if macros and not found:
        changes.parts[TYPES] = with_macro_type(types.data)


def with_macro_type(types: bytes) -> bytes:
    """Return the content types of a workbook as of one with macros, as its name .xlsm says."""
    return types.replace(f'"{_PLAIN_TYPE}"'.encode(), f'"{_MACRO_TYPE}"'.encode())


def _add_styles(package: Package, changes: Changes) -> None:
    """Add a text style for results, and one with each colour. A workbook without styles stays without."""
    for _relation, name in package.related(package.book, "/styles"):
        if part_name(name) not in package.names:
            return
        part = package.part(name)
        fills, formats = part.root.all("fills"), part.root.all("cellXfs")
        if not fills or not formats or not 0 < len(formats[0].children) < _MOST_STYLES:
            return
        p = part.root.prefix
        colours = list(dict.fromkeys(COLOURS.values()))
        placed = _add_missing(part, fills[0], [_FILL.format(p=p, colour=colour).encode() for colour in colours])
        usual = f'<{p}xf numFmtId="49" fontId="0" fillId="0" borderId="0" applyNumberFormat="1"/>'
        coloured = [usual.replace('fillId="0"', f'fillId="{fill}" applyFill="1"') for fill in placed]
        style, *styles = _add_missing(part, formats[0], [xml.encode() for xml in (usual, *coloured)])
        changes.parts[name] = part.result()
        changes.styles = {"": style} | {word: styles[colours.index(colour)] for word, colour in COLOURS.items()}


def _add_missing(part: Part, parent: Element, wanted: list[bytes]) -> list[int]:
    """Add those of the elements that are not there yet; return the place of each among the parent's children."""
    there = [part.data[child.start : child.end] for child in parent.children]
    new = [xml for xml in wanted if xml not in there]
    if new:
        part.append(parent, b"".join(new), count=str(len(there) + len(new)))
    return list(map([*there, *new].index, wanted))


def _grow_tables(package: Package, sheet: UserSheet, layout: Layout, changes: Changes) -> None:
    """Let the table under the header include the new columns, or say why it does not."""
    for _relation, name in package.related(sheet.part, "/table"):
        part = package.part(name)
        left, top, _right, bottom = parse_range(part.root.attributes.get("ref", ""))
        if not top <= sheet.header_row - 1 <= bottom:
            continue
        if reason := _why_not_grown(package, name, part.root, sheet, layout):
            title = part.root.attributes.get("displayName", "")
            changes.notes.append(f"the result columns are beside the table '{title}', not in it: {reason}")
            continue
        part.set(part.root, ref=range_text(left, top, layout.last, bottom))
        for found in part.root.all("autoFilter"):
            part.set(found, ref=range_text(left, top, layout.last, bottom))
        (columns,) = part.root.all("tableColumns")
        number = max(int(column.attributes["id"]) for column in columns.children)
        p = columns.prefix.encode()
        added = b"".join(
            b'<%stableColumn id="%d" name="%s"/>' % (p, number + place, xml_text(title).replace(b'"', b"&quot;"))
            for place, (_, title) in enumerate(sorted(layout.new), 1)
        )
        part.append(columns, added, count=str(len(columns.children) + len(layout.new)))
        changes.parts[name] = part.result()


def _why_not_grown(package: Package, name: str, table: Element, sheet: UserSheet, layout: Layout) -> str:
    """Return why a table can't include the new columns; empty when it can."""
    _left, top, right, _bottom = parse_range(table.attributes["ref"])
    columns = table.all("tableColumns", "tableColumn")
    taken = {column.attributes.get("name", "").casefold() for column in columns}
    if top != sheet.header_row - 1 or table.attributes.get("headerRowCount", "1") == "0":
        return "its header is not the sheet's"
    if right + 1 != layout.first:
        return "there are other columns between them"
    if table.attributes.get("totalsRowCount", "0") != "0":
        return "it has a row of totals"
    if table.attributes.get("tableType", "worksheet") != "worksheet" or any(package.related(name, "/queryTable")):
        return "its columns come from a query"
    if not columns or any(title.casefold() in taken for _, title in layout.new):
        return "it has a column called like one of them"
    return ""


def _grow_filter_name(package: Package, sheet: UserSheet, layout: Layout, changes: Changes) -> None:
    """Let the hidden name of the sheet's filter have the filter's new range."""
    part = package.part(package.book)
    sheets = part.root.all("sheets", "sheet")
    place = next((str(n) for n, found in enumerate(sheets) if found.attributes.get("name") == sheet.title), "")
    for name in part.root.all("definedNames", "definedName"):
        attributes = name.attributes
        is_ours = attributes.get("name") == "_xlnm._FilterDatabase" and attributes.get("localSheetId") == place
        found = _RANGE.search(part.data[name.inner : name.close]) if is_ours else None
        if found and parse_range(found[0].decode()) == parse_range(sheet.facts.filter):
            left, top, right, bottom = parse_range(layout.filter)
            corners = (range_text(left, top, left, top), range_text(right, bottom, right, bottom))
            absolute = ":".join(re.sub(r"([A-Z]+)([0-9]+)", r"$\1$\2", corner.split(":")[0]) for corner in corners)
            part.replace(name.inner + found.start(), name.inner + found.end(), absolute.encode())
            changes.parts[package.book] = part.result()


def _drop(package: Package, changes: Changes, name: str, kind: str) -> bool:
    """Leave out the parts that a part is related to in this way, and the relation. Return whether there were any."""
    related = list(package.related(name, kind))
    if not related:
        return False
    relations = package.relations(name)
    part = package.part(relations)
    types = {relation.attributes["Id"] for relation, _target in related}
    for relation in part.root.all("Relationship"):
        if relation.attributes.get("Id") in types:
            part.remove(relation)
    changes.parts[relations] = part.result()
    changes.dropped |= {part_name(target) for _relation, target in related}
    return True


def _forget_types(package: Package, changes: Changes) -> None:
    """Leave the content types of parts out that are left out."""
    part = Part(changes.parts[TYPES]) if TYPES in changes.parts else package.part(TYPES)
    for override in part.root.all("Override"):
        if part_name(override.attributes.get("PartName", "").lstrip("/")) in changes.dropped:
            part.remove(override)
    changes.parts[TYPES] = part.result()
