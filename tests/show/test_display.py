"""Objects that show themselves: as text and in a notebook, and silence where no progress is wanted."""

from rich.console import Console

from stilts.show.display import Displayed, quiet_console


class Greeting(Displayed):
    def show(self, console: Console) -> None:
        console.print("[bold]hello[/] <b>")


def test_text_and_notebook_show_the_same_words():
    assert str(Greeting()) == "hello <b>"
    html = Greeting()._repr_html_()
    assert html.startswith("<pre")
    assert "hello" in html
    assert "<b>" not in html, "markup is escaped"


def test_a_quiet_console_prints_nothing(capsys):
    console = quiet_console()
    console.print("progress")
    assert console.file.getvalue() == ""
    assert capsys.readouterr() == ("", "")
