"""Claims about the templates: a server has them all from its start on."""

from vanc311_pipeline.dashboard.site import dashboard
from vanc311_pipeline.dashboard.templating import templates


def test_a_server_needs_no_template_of_a_program_that_was_put_in_its_place(monkeypatch):
    templates.cache_clear()
    dashboard()
    assert templates.cache_info().currsize == 1
    names = templates(None).list_templates(None)
    monkeypatch.setattr(templates(None).loader, "get_source", None)
    assert "problem.html" in names
    for name in names:
        templates(None).get_template(name)
