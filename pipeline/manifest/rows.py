"""One row of any manifest to one `Edit`: the rules that all formats share."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import JobError
from pipeline.manifest.columns import Columns
from pipeline.manifest.images import Images, stem_of
from pipeline.manifest.names import (
    Claims,
    MadeNames,
    name_problem,
    normalised,
    output_problem,
    sanitised,
)
from pipeline.manifest.parameters import own_parameters
from pipeline.manifest.problems import RowError, quoted, row_problem
from pipeline.manifest.templates import MAX_LENGTH, Templates, is_template, variable_names
from pipeline.models import Edit, ImageRef, ModelSpec, Problem

_REMEMBERED_PARAMETERS = 1024
_ITSELF = "{{ id }}"


class ManifestDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for rows that say nothing else: the job's, or a manifest's over the job's."""

    prompt: str | None
    parameters: dict[str, Any]


class Reading:
    """One job's reading of all its manifests: names are unique across them.

    ``labels``: what places call each file. Raises `JobError` when the job's own prompt, parameters
    or output template cannot be used.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        model: ModelSpec,
        known_parameters: Iterable[str],
        defaults: ManifestDefaults,
        output: str,
        mapping: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.model = model
        self.plain_columns = Columns(model, known_parameters)
        try:
            self.columns = Columns(model, known_parameters, mapping)
        except RowError as error:
            raise JobError(f"columns: {error}") from None
        own, problems = own_parameters(model, defaults.parameters)
        if problems:
            raise JobError("parameters: " + "; ".join(problems))
        self.defaults = ManifestDefaults(prompt=defaults.prompt, parameters=own)
        self.templates = Templates()
        self._by_prompts: dict[Path, Templates] = {}
        try:
            self.templates.check(output)
        except RowError as error:
            raise JobError(f"outputs.image: {error}") from None
        self.output = output
        self.own_output = "".join(output.split()) != "".join(_ITSELF.split())
        if self.own_output and not is_template(output):
            raise JobError(
                f"outputs.image: {quoted(output)} gives all pictures one name (use"
                f" {_ITSELF!r} in it)"
            )
        self.ids = Claims()
        self.outputs = Claims() if self.own_output else self.ids
        self.made = MadeNames()
        self._labels = labels

    def templates_beside(self, manifest: Path) -> Templates:
        """Those whose includes lie in ``prompts/`` beside a manifest. Raises `JobError` when the
        job's prompt cannot be used there.
        """
        folder = manifest.parent / "prompts"
        if folder not in self._by_prompts:
            templates = self._by_prompts[folder] = Templates(folder)
            try:
                templates.check(self.defaults.prompt or "")
            except RowError as error:
                raise JobError(f"prompt: {error}") from None
        return self._by_prompts[folder]

    def place(self, number: int) -> str:
        """``shoes.csv:2`` from what `RowReader` claims names with."""
        return f"{self._labels[number >> 41]}:{(number >> 1) & 0xFF_FFFF_FFFF}"


class RowReader:
    """Rows of one file to edits. ``root``: the folder of its local pictures.

    ``mapped``: whether the job's column mapping holds for it. Raises `JobError`.
    """

    def __init__(
        self,
        reading: Reading,
        number: int,
        label: str,
        *,
        path: Path,
        root: Path,
        defaults: ManifestDefaults | None = None,
        mapped: bool = True,
    ) -> None:
        self.label = label
        self.columns = reading.columns if mapped else reading.plain_columns
        self.images = Images(root)
        self._reading = reading
        self._number = number << 41
        self.model = reading.model
        self._templates = reading.templates_beside(path)
        self._defaults = defaults or reading.defaults
        self._count = self.model.count(self._defaults.parameters)
        self._longest = min(self.model.prompt_max_length or MAX_LENGTH, MAX_LENGTH)
        self._parameters: dict[tuple[tuple[str, str], ...], tuple[dict[str, Any], int]] = {}

    def edit(
        self,
        line: int,
        *,
        name: str = "",
        made: str = "",
        folders: bool = False,
        entries: Sequence[str] = (),
        prompt: str = "",
        variant: Any = "",
        parameters: Mapping[str, Any] | None = None,
        variables: dict[str, str],
        problems: Sequence[str] = (),
    ) -> Edit | Problem:
        """The row's edit, or all that is wrong with it.

        ``name``: its explicit id, with ``folders`` one that may hold ``/``. ``made``: the stem of
        an id to make (else from the first picture). ``entries``: images as written.
        ``parameters``: of the row, texts or values. ``problems``: what the reader found already.
        """
        wrong = list(problems) if problems else []
        try:
            if len(entries) == 1:
                images = tuple(self.images.refs(entries[0]))
            else:
                images = tuple([ref for entry in entries for ref in self.images.refs(entry)])
            if not self.model.min_images <= len(images) <= self.model.max_images:
                wrong.append(self._wrong_number(len(images)))
        except RowError as error:
            images = ()
            wrong.append(str(error))

        own, count = self._defaults.parameters, self._count
        if parameters:
            own, count = self._own_parameters(parameters, wrong)

        number = 1
        if variant != "":
            try:
                number = _variant(variant)
            except RowError as error:
                wrong.append(str(error))

        if name:
            edit_id = self._stated_id(line, name, folders, count, wrong)
        else:
            edit_id = self._made_id(line, made, images, count, wrong)
        output = edit_id
        text = prompt if prompt and not prompt.isspace() else self._defaults.prompt
        if not text or text.isspace():
            wrong.append(
                "no prompt (fill the row's prompt, or give the job or the manifest's defaults one)"
            )
            text = ""
        elif edit_id and (self._reading.own_output or is_template(text)):
            text, output = self._rendered(text, edit_id, variables, wrong)
        # Whitespace that an editor or spreadsheet changes in passing is not another prompt.
        text = text.strip()
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if len(text) > self._longest:
            wrong.append(
                f"the prompt has {len(text):,} characters (shorten it: {self.model.id} takes"
                f" {self._longest:,})"
            )
        if output and self._reading.own_output:
            self._claim_output(line, output, count, wrong)
        place = f"{self.label}:{line}"
        if wrong:
            return Problem(place=place, message="; ".join(wrong), id=edit_id or place)
        return Edit(
            id=edit_id,
            images=images,
            prompt=text,
            parameters=own,
            variables=variables,
            place=place,
            output=output,
            variant=number,
        )

    def problem(self, line: int, message: str) -> Problem:
        """For a row that cannot even be taken apart."""
        return row_problem(self.label, line, message)

    def _wrong_number(self, count: int) -> str:
        least, most = self.model.min_images, self.model.max_images
        if count == 0:
            return f"no image ({self.model.id} needs {least}: name a picture in 'images')"
        way = "remove some" if count > most else "add some"
        limit = f"at most {most}" if count > most else f"at least {least}"
        return f"{count} images, but {self.model.id} takes {limit} ({way})"

    def _own_parameters(
        self, parameters: Mapping[str, Any], wrong: list[str]
    ) -> tuple[dict[str, Any], int]:
        # Rows of a table repeat the same few texts.
        key = tuple(parameters.items())
        texts = all(type(value) is str for value in parameters.values())
        if texts and (known := self._parameters.get(key)):
            return known
        own, problems = own_parameters(self.model, parameters)
        wrong += problems
        merged = {**self._defaults.parameters, **own}
        result = merged, self.model.count(merged)
        if texts and not problems:
            if len(self._parameters) >= _REMEMBERED_PARAMETERS:
                self._parameters.clear()
            self._parameters[key] = result
        return result

    def _stated_id(self, line: int, name: str, folders: bool, count: int, wrong: list[str]) -> str:
        """The id, claimed, or nothing, with a message, if it cannot be one."""
        name = normalised(name)
        if problem := output_problem(name) if folders else name_problem(name):
            wrong.append(f"the id {quoted(name)} cannot name a file: {problem} (change the id)")
            return ""
        return self._claimed(line, name, count, wrong)

    def _made_id(
        self, line: int, stem: str, images: tuple[ImageRef, ...], count: int, wrong: list[str]
    ) -> str:
        """A free id, claimed, from the first picture's name; nothing if the row has no such."""
        if not stem and images:
            stem = sanitised(stem_of(images[0]))
        elif not stem and wrong:
            return ""
        stem = stem or "edit"
        ids = self._reading.ids
        several = count > 1 and not self._reading.own_output
        if not several and not ids.claim(stem, self._number | line << 1):
            return stem

        def is_free(name: str) -> bool:
            names = _names(name, count) if several else (name,)
            return not any(ids.owner(each) for each in names)

        return self._claimed(line, self._reading.made.free(stem, is_free), count, wrong)

    def _claimed(self, line: int, name: str, count: int, wrong: list[str]) -> str:
        """The id when it is the row's now; nothing, with a message, when another row has it.

        Where pictures are called like their edit, an edit of several takes their names too.
        """
        ids = self._reading.ids
        place = self._number | line << 1
        if taken := ids.claim(name, place):
            wrong.append(self._taken("id", name, taken))
            return ""
        if count > 1 and not self._reading.own_output:
            self._claim_others(ids, name, count, place, wrong)
        return name

    def _claim_output(self, line: int, output: str, count: int, wrong: list[str]) -> None:
        outputs = self._reading.outputs
        place = self._number | line << 1
        if taken := outputs.claim(output, place):
            wrong.append(self._taken("output", output, taken))
        elif count > 1:
            self._claim_others(outputs, output, count, place, wrong)

    def _claim_others(
        self, claims: Claims, name: str, count: int, place: int, wrong: list[str]
    ) -> None:
        for other in _names(name, count)[1:]:
            if taken := claims.claim(other, place | 1):
                wrong.append(self._taken("picture name", other, taken))

    def _taken(self, what: str, name: str, taken: int) -> str:
        owner = self._reading.place(taken)
        if taken & 1:
            return (
                f"{what} {name!r} is what one of the several pictures of {owner} will be called"
                " (letter case does not count; change one of the two)"
            )
        return (
            f"{what} {name!r} is taken by {owner} (letter case does not count; change one of the"
            " two)"
        )

    def _rendered(
        self, prompt: str, edit_id: str, variables: dict[str, str], wrong: list[str]
    ) -> tuple[str, str]:
        """Prompt and output."""
        values: dict[str, Any] = {}
        for written, value in variables.items():
            for name in variable_names(written):
                values[name] = value
        values["id"] = edit_id
        values["row"] = variables
        output = edit_id
        try:
            if is_template(prompt):
                prompt = self._templates.render(prompt, values)
                if not prompt or prompt.isspace():
                    wrong.append("the rendered prompt is empty (fill the columns it names)")
            if self._reading.own_output:
                output = normalised(self._templates.render(self._reading.output, values))
        except RowError as error:
            wrong.append(str(error))
            return "", ""
        if output is not edit_id and (problem := output_problem(output)):
            wrong.append(
                f"the output {quoted(output)} cannot name a file: {problem} (change the row or"
                " outputs.image; the filter 'slug' makes any text safe)"
            )
            return prompt, ""
        return prompt, output


def _names(name: str, count: int) -> list[str]:
    return [name, *[f"{name}-{number}" for number in range(2, count + 1)]]


def _variant(value: Any) -> int:
    text = str(value).strip()
    if text.endswith(".0"):
        text = text[:-2]  # spreadsheets turn 3 into 3.0
    if text.isascii() and text.isdigit() and 1 <= int(text[:10]) <= 1_000_000:
        return int(text)
    raise RowError(f"variant {quoted(value)} is no whole number from 1 (1 is the first)")
