"""`vanc311 brief`: the brief of a month, from the published file, as text, HTML or PDF; for who runs it by cron."""

from pathlib import Path

from rich.console import Console

from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard import briefs
from vanc311_pipeline.dashboard.templating import sheet
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.reading.labels import is_group, label_of
from vanc311_pipeline.reading.names import UnknownName
from vanc311_pipeline.reading.published import reading
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.settings import LICENCE, Settings


def run_brief(
    settings: Settings,
    console: Console,
    *,
    area: str | None,
    department: str | None,
    month: str | None,
    files: dict[str, Path],
    paper: str,
) -> None:
    with reading(settings.published_path) as release:
        kind, name = _subject(release, area, department)
        url = briefs.newest(release, kind, name, month)
        brief = briefs.brief_of(release, *url.split("/")[2:]) if url else None
        if brief is None:
            raise SettingsError(
                f"There is no brief of {briefs.name_of(kind, name)}{f' of {month}' if month else ' yet'}. A month has briefs once it has "
                "settled, a week or so after its end, and from the first whole month after the first load on."
            )
        document = sheet(release, brief, settings.site_url)
    for form, file in files.items():
        content = document.encode() if form == "html" else briefs.pdf(document, paper)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            raise SettingsError(f"{file} can't be written: {error.strerror}. Name another file.") from error
        console.print(f"{brief.title}: {file}", markup=False)
    if not files:
        told = [brief.title, *brief.sentences, brief.judged, brief.overdue, brief.record, brief.revised]
        console.print("\n".join(told), markup=False)
        sample = " The bundled sample: not a picture of the city." if release.is_sample else ""
        of = f"Record to {words.day(brief.about['as_of'])}, the city’s release of {words.instant(brief.about['data_processed'])} (Vancouver)."
        console.print(f"{of} Closed does not mean fixed.{sample} {LICENCE}", markup=False)


def _subject(release: Release, area: str | None, department: str | None) -> tuple[str, str]:
    """The kind and name of whom the brief is about."""
    try:
        if area:
            return "area", label_of(release, "area", area)
        if department and is_group(department.lower()):
            return "group", department.lower()
        return ("department", label_of(release, "department", department)) if department else ("city", "")
    except UnknownName as error:
        raise SettingsError(str(error)) from error
