"""The session of `chargen play`: by hand-made proposals, and as a whole command."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from chargen.cli.writing import Proposal, WritingSession
from chargen.settings.writing import SamplingOptions

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


class Parrot:
    """Proposes the last character again, once and twice, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, SamplingOptions]] = []

    def propose(self, text: str, sampling: SamplingOptions) -> list[Proposal]:
        self.asked.append((text, sampling))
        return [Proposal(text[-1:], False), Proposal(text[-1:] * 2, True)] if text else []

    def unknown(self, text: str) -> str:
        return "never seen '?'" if "?" in text else ""


@pytest.fixture
def session() -> WritingSession:
    begun = WritingSession(Parrot(), text="ab")
    begun.propose()
    return begun


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        (["1"], "abb"),
        (["2", "1"], "abbbb"),
        (["cd"], "abcd"),
        ([" c d "], "ab c d "),
        ([""], "ab"),
        (["/more"], "ab"),
        (["+1"], "ab1"),
        (["+/undo"], "ab/undo"),
        (["3"], "ab"),
        (["0"], "ab"),
        (["c", "/undo"], "ab"),
        (["c", "2", "/undo", "/undo"], "ab"),
        (["/undo"], "ab"),
        (["/line", "c"], "ab\nc"),
        (["/cut 1"], "a"),
        (["/cut 9"], ""),
        (["/cut 9", "1", "x"], "x"),
        (["/cut 1", "/undo"], "ab"),
        (["c", "/cut 0", "/undo"], "ab"),
        (["/cut -1"], "ab"),
        (["/cut"], "ab"),
        (["ab", "/change a => cc"], "abccb"),
        (["/change a =>"], "b"),
        (["/change x => y"], "ab"),
        (["/change a"], "ab"),
        (["/text", "/help", "/temp 0.5"], "ab"),
        (["/nothing"], "ab"),
    ],
)
def test_what_answers_make_of_a_text(answers: list[str], text: str, session: WritingSession) -> None:
    for answer in answers:
        session.answer(answer)
    assert session.text == text


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("3", "no continuation 3; to add the number itself, type +3"),
        ("/undo", "nothing to undo"),
        ("/cut x", "/cut got 'x', expected a number of characters; for example /cut 5"),
        ("/change x", "/change expects a text and its replacement; for example /change late => early"),
        ("/change x => y", "the text does not contain 'x'"),
        ("/sve", "unknown command /sve; did you mean /save?"),
        ("/xyzzy", "unknown command /xyzzy; /help lists them"),
        ("/save", "/save expects a file name; for example /save story.txt"),
        ("/temp warm", "'warm' is not a number, nor several separated by commas, such as 0.2,0.5,1.0"),
        ("/temp -1", "--temp is -1.0, expected 0 or more"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    answer: str, told: str, session: WritingSession, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    session.answer(answer)
    assert capsys.readouterr() == ("", f"{told}\n")


def test_each_turn_shows_the_text_and_numbered_continuations(capsys: pytest.CaptureFixture[str]) -> None:
    session = WritingSession(Parrot(), text="a\nb\n")
    session.propose()
    assert capsys.readouterr() == ("", "\na\nb\n\n  1  \\n\n  2  \\n\\n (end)\n")
    session.answer("/cut 9")
    assert "the network ends the text here" in capsys.readouterr().err


def test_a_temperature_holds_from_then_on_unless_it_is_refused() -> None:
    parrot = Parrot()
    session = WritingSession(parrot, text="a", sampling=SamplingOptions(greedy=True, top_k=3))
    for answer in ("/temp 0.3,0.9", "", "/temp -1", ""):
        session.answer(answer)
    warm = SamplingOptions(temperature=(0.3, 0.9), top_k=3)
    assert parrot.asked == [("a", warm)] * 3


def test_unknown_characters_are_told_of_once(session: WritingSession, capsys: pytest.CaptureFixture[str]) -> None:
    for answer in ("?", "c", "/cut 2", "?"):
        session.answer(answer)
    assert capsys.readouterr().err.count("(never seen '?'; it is skipped)") == 2  # anew after it was gone


def test_saving_goes_on(session: WritingSession, in_folder: Path) -> None:
    session.answer("/save one.txt")
    session.answer("c")
    session.answer("/save no/such/folder")
    assert (in_folder / "one.txt").read_text(encoding="utf-8") == "ab\n"
    assert session.text == "abc"
    kept = WritingSession(Parrot(), text="x\n", output=in_folder / "two.txt")
    kept.answer("/save")
    assert (in_folder / "two.txt").read_text(encoding="utf-8") == "x\n"


def test_the_text_can_be_edited(session: WritingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def edit(text: str) -> str | None:
        given.append(text)
        return {"ab": "edited\n", "edited": None}[text]

    monkeypatch.setattr("click.edit", edit)
    for _ in range(2):
        session.answer("/edit")
        assert session.text == "edited"
    session.answer("/undo")
    assert (session.text, given) == ("ab", ["ab", "edited"])


def play(invoke: Invoke, answers: str, *arguments: object) -> Result:
    return invoke("play", *arguments, input=answers)


@pytest.mark.parametrize("ending", ["", "/quit\nnever read\n", "/undo\n"])
def test_the_text_goes_to_stdout_and_the_talk_to_stderr(ending: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    result = play(invoke, f"ab\n{ending}", "--seed", "H")
    assert (result.exit_code, result.stdout) == (0, "H\n" if ending == "/undo\n" else "Hab\n")
    assert "a number takes a continuation" in result.stderr
    assert "a number takes" not in play(invoke, "", "-q").stderr


def test_a_continuation_is_taken_as_it_was_shown(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(characters="abH")
    result = play(invoke, "2\n", "--count", 3, "--length", 7, "--random-seed", 5)
    shown = [line[5:] for line in result.stderr.splitlines() if line.startswith("  ")]
    assert len(shown) == 6
    assert len(set(shown[:3])) == 3
    assert {len(one) for one in shown} == {7}
    assert result.stdout == f"{shown[1]}\n"
    assert play(invoke, "2\n", "--count", 3, "--length", 7, "--random-seed", 5).stdout == result.stdout


def test_nothing_written_is_nothing(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert play(invoke, "").stdout == ""


def test_a_character_that_the_model_does_not_know_stays_in_the_text(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    result = play(invoke, "Ж7\n", "-q")
    assert result.stdout == "Ж7\n"
    assert "never seen '7' (U+0037), 'Ж' (U+0416); it is skipped" in result.stderr


def test_options_reach_the_draws(invoke: Invoke, write_run: WriteRun) -> None:
    write_run("one", characters="abH", seed=1)
    write_run("other", characters="abH", seed=2)
    banned = play(invoke, "1\n", "--ban", "ab", "--length", 9, "--run", "one", "--run", "other")
    assert banned.stdout == "H" * 9 + "\n"
    greedy = play(invoke, "1\n", "--greedy", "--length", 9, "--run", "one", "--random-seed", 1)
    assert greedy.stdout == invoke("sample", "--greedy", "--length", 9, "--run", "one").stdout


def test_the_text_goes_to_a_file_instead(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run()
    result = play(invoke, "ab\n", "--output", "story.txt")
    assert (result.exit_code, result.stdout) == (0, "")
    assert (in_folder / "story.txt").read_text(encoding="utf-8") == "ab\n"


def test_where_the_file_cannot_be_written_the_text_is_printed(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    result = play(invoke, "ab\n", "--output", "no/such/folder")
    assert (result.exit_code, result.stdout) == (2, "ab\n")
    assert "cannot write no/such/folder" in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_text_outlives_an_interruption(number: int, code: int, write_run: WriteRun, in_folder: Path) -> None:
    write_run()
    session = subprocess.Popen(
        [sys.executable, "-c", f"import signal; signal.signal({int(signal.SIGINT)}, signal.default_int_handler)\n{MAIN}"],
        cwd=in_folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert session.stdin is not None
    assert session.stderr is not None
    session.stdin.write("abéc\n/text\n".encode())
    session.stdin.flush()
    said = b""
    while not said.endswith("abéc\n> ".encode()):
        more = os.read(session.stderr.fileno(), 1000)
        assert more, said.decode()
        said += more
    session.send_signal(number)
    written, _ = session.communicate()
    assert (session.returncode, written) == (code, "abéc\n".encode())


MAIN = "import sys; sys.argv = ['chargen', 'play', '-q']; from chargen.cli import main; main()"


def test_stray_bytes_do_not_end_it(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    result = invoke("play", input=b"a\xff\nb\n")
    assert (result.exit_code, result.stdout) == (0, "a\ufffdb\n")
