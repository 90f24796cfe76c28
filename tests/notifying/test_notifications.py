"""Real runs, a real mail server, a real web hook: who hears of what, how often, in which words."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import LockedError, ManifestError
from pipeline.events import Event, Notified
from pipeline.ledger import open_reader
from pipeline.locking import locked
from pipeline.notifying import sending
from pipeline.notifying.memory import read
from pipeline.running import RunResult
from tests.conftest import Shop, command_line, environment
from tests.notifying.conftest import TOKEN, Hook, Mailbox
from tests.test_command import until

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    environ = options.pop("environ", {})
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ=environ, **options))


def bad(**faults: float) -> dict[str, Any]:
    return {"faults": {"refused_400": 0.0, **faults}}


# --- what is told


def test_a_finished_run_is_told_by_mail_in_words(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    run(shop.with_edits(3, notify=[{"url": mailbox.url}]), emulator(pictures="plain"))
    [mail] = mailbox.mails
    assert mail["Subject"] == "shop: finished, 3 succeeded"
    assert mail["To"] == "ops@shop.example"
    text = mail.get_content()
    assert "3 succeeded" in text
    assert "3 pictures, $0.126 in" in text
    assert "different: 3 new" in text
    assert f"pipeline report {shop.job}" in text


def test_whoever_wants_only_failures_hears_nothing_of_a_good_run(
    shop: Shop, emulator: Emulators, hook: Hook, mailbox: Mailbox
) -> None:
    notify = [
        {"url": mailbox.url, "on": ["failure", "cap", "stall"]},
        {"url_env": "HOOK", "on": "finish"},
    ]
    endpoint = emulator(pictures="plain")
    run(shop.with_edits(2, notify=notify), endpoint, environ={"HOOK": hook.url})
    assert (mailbox.mails, hook.titles) == ([], ["shop: finished, 2 succeeded"])


def test_failed_edits_are_told_once_and_again_when_others_fail(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    endpoint = emulator(pictures="plain")
    notify = [{"url": mailbox.url, "on": ["failure"]}]
    rows = "id,images,prompt\na,mug.jpg,x\nb,gone.jpg,y\n"
    run(shop.write(rows, notify=notify), endpoint)
    assert mailbox.subjects == ["shop: 1 failed"]
    assert "1 × input, as in b: gone.jpg" in mailbox.mails[0].get_content()
    run(shop, endpoint)
    run(shop, endpoint)
    assert len(mailbox.mails) == 1, "the same edit fails each night"
    run(shop.write(f"{rows}c,gone-too.jpg,z\n", notify=notify), endpoint)
    assert mailbox.subjects == ["shop: 1 failed", "shop: 2 failed"]
    assert "1 newly failing" in mailbox.mails[1].get_content()


def test_a_problem_of_two_nights_is_told_once_and_again_after_it_had_passed(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    endpoint = emulator(pictures="plain", accepted_key="right")
    shop.with_edits(2, notify=[{"url": mailbox.url, "on": ["failure"]}])
    for _ in range(3):
        run(shop, endpoint, environ={"AIMLAPI_API_KEY": "wrong-key"})
    assert mailbox.subjects == ["shop: stopped by an error"]
    run(shop, endpoint, environ={"AIMLAPI_API_KEY": "right"})
    shop.with_edits(3, notify=[{"url": mailbox.url, "on": ["failure"]}])
    run(shop, endpoint, environ={"AIMLAPI_API_KEY": "wrong-key"})
    assert mailbox.subjects == ["shop: stopped by an error"] * 2


def test_a_cap_is_told_as_a_cap_with_the_cause(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    notify = [{"url": mailbox.url, "on": ["cap"]}]
    shop.with_edits(9, budget={"run_usd": 0.1}, notify=notify)
    endpoint = emulator(pictures="plain")
    assert run(shop, endpoint).exit_code == 5
    assert run(shop, endpoint).exit_code == 5
    assert mailbox.subjects == ["shop: stopped at a money cap"]
    assert "budget.run_usd of $0.10 is reached" in mailbox.mails[0].get_content()


def test_nothing_new_is_told_on_the_first_such_night(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    endpoint = emulator(pictures="plain")
    notify = [{"url": mailbox.url, "on": ["nothing_new"]}]
    for edits, mails in ((2, 0), (2, 1), (2, 1), (3, 1), (3, 2)):
        run(shop.with_edits(edits, notify=notify), endpoint)
        assert len(mailbox.mails) == mails
    assert mailbox.subjects[0] == "shop: nothing new"


def test_nobody_is_told_what_the_person_at_the_terminal_sees(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(1, notify=[{"url": mailbox.url}])
    run(shop, endpoint, confirm=lambda plan: False)
    assert mailbox.subjects == [], "declined"
    run(shop, endpoint, confirm=lambda plan: True)
    run(shop, endpoint, confirm=lambda plan: True)
    assert mailbox.subjects == ["shop: finished, 1 succeeded"], "nothing was left to do"


def test_a_stall_is_told_while_the_run_goes_on(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold()
    notify = [{"url": mailbox.url, "on": ["stall"]}]
    seen: list[str] = []

    def observe(event: Event) -> None:
        seen.append(type(event).__name__)
        if isinstance(event, Notified):
            endpoint.go_on()

    shop.with_edits(1, limits={"stall_s": 0.2}, notify=notify)
    assert run(shop, endpoint, observe=observe).exit_code == 0
    assert mailbox.subjects == ["shop: it stands still"], "once, however often it is seen"
    assert "Nothing has ended for" in mailbox.mails[0].get_content()
    assert seen.index("Notified") < seen.index("Finished")


def test_a_run_that_cannot_start_is_told_by_its_words(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    notify = [{"url": mailbox.url, "on": ["failure"]}]
    endpoint = emulator(pictures="plain")
    for rows in ("id,images\na,mug.jpg\na,mug.jpg\n", "id,images\na,mug.jpg\na,mug.jpg\n"):
        with pytest.raises(ManifestError):
            run(shop.write(rows, notify=notify), endpoint)
    assert mailbox.subjects == ["shop: could not start"]
    assert "shop.csv:3" in mailbox.mails[0].get_content()
    assert f"pipeline check {shop.job}" in mailbox.mails[0].get_content()
    with pytest.raises(ManifestError):
        run(shop.write("id,image,promt\na,mug.jpg,x\n", prompt=None, notify=notify), endpoint)
    assert len(mailbox.mails) == 2, "another problem"


def test_nights_that_find_the_last_run_still_going_on_are_told_once(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(1, notify=[{"url": mailbox.url, "on": ["failure"]}])
    run(shop, endpoint)
    with locked(shop.outputs):
        for _ in range(2):
            with pytest.raises(LockedError):
                run(shop, endpoint)
    assert mailbox.subjects == ["shop: could not start"]
    assert "another run of this job is going on" in mailbox.mails[0].get_content()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_run_is_told_by_the_next(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold()
    shop.with_edits(2, notify=[{"url": mailbox.url, "on": ["failure"]}])
    line = command_line("run", shop.job, "--base-url", endpoint.url, "--yes")
    process = subprocess.Popen(
        line, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(
        lambda: len([one for one in endpoint.requests if one["method"] == "POST"]) == 2, seconds=60
    )
    process.send_signal(signal.SIGKILL)
    process.wait()
    endpoint.go_on()
    assert run(shop, endpoint).totals.succeeded == 2
    run(shop, endpoint)
    assert mailbox.subjects == ["shop: the run before was cut off"]


def test_a_rehearsal_tells_nobody(shop: Shop, mailbox: Mailbox) -> None:
    shop.with_edits(1, notify=[{"url": mailbox.url}])
    result = asyncio.run(pipeline.run(shop.job, rehearse=True, environ={}))
    assert (result.totals.succeeded, mailbox.mails) == (1, [])


def test_a_bug_is_told_and_raised(
    shop: Shop, emulator: Emulators, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OurBugError(Exception):
        pass

    def broken(event: Event) -> None:
        if type(event).__name__ == "Preflight":
            raise OurBugError("of our own")

    shop.with_edits(1, notify=[{"url": mailbox.url}])
    with pytest.raises(OurBugError):
        run(shop, emulator(pictures="plain"), observe=broken)
    assert mailbox.subjects == ["shop: ended by a bug (OurBugError)"]


# --- in the job's words


def test_templates_name_what_a_run_came_to(shop: Shop, emulator: Emulators, hook: Hook) -> None:
    notify = [
        {
            "url_env": "HOOK",
            "title": "{{ job | upper }}\n{{ on }}",
            "body": "{{ succeeded }} of {{ succeeded + failed }}, ${{ cost_usd | round(2) }}"
            "{% for reason in reasons %} {{ reason.code }}{% endfor %}",
        }
    ]
    shop.write("id,images\na,mug.jpg\nb,gone.jpg\n", notify=notify)
    run(shop, emulator(pictures="plain"), environ={"HOOK": hook.url})
    [call] = hook.calls
    assert (call["title"], call["message"]) == ("SHOP failure", "1 of 2, $0.04 input")


def test_words_of_a_server_are_no_markup_and_no_header(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    notify = [{"url": mailbox.url, "title": "{{ job }}\r\nBcc: all@shop.example"}]
    run(shop.with_edits(1, notify=notify), emulator(pictures="plain"))
    assert mailbox.mails[0]["Bcc"] is None
    assert mailbox.subjects == ["shop Bcc: all@shop.example"]


# --- secrets and trouble


def test_no_secret_is_in_any_message_event_or_ledger(
    shop: Shop, emulator: Emulators, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    key = "sk-abcdefghijklmnop"
    endpoint = emulator(pictures="plain")
    environ = {"HOOK": hook.url, "AIMLAPI_API_KEY": key}
    shop.with_edits(1, notify=[{"url_env": "HOOK", "body": f"{hook.url} {key}"}])
    events: list[Event] = []
    run(shop, endpoint, environ=environ, observe=events.append)
    hook.status = 500
    run(shop.with_edits(2), endpoint, environ=environ)
    shop.with_edits(3, notify=[{"url_env": "HOOK", "body": f"{hook.url} {key}"}])
    run(shop, endpoint, environ=environ, observe=events.append)
    said = repr([event for event in events if isinstance(event, Notified)])
    reader = open_reader(shop.outputs / "ledger.db")
    assert reader is not None
    with reader:
        said += str(reader.note("notified"))
    said += json.dumps([{**call, "path": ""} for call in hook.calls])
    assert len(hook.calls) == 2
    assert "could not" not in said
    assert key not in said
    assert TOKEN not in said + caplog.text


def test_a_failing_service_is_said_once_and_fails_no_run(
    shop: Shop, emulator: Emulators, hook: Hook
) -> None:
    hook.status = 503
    notify = [{"url_env": "HOOK"}, {"url_env": "NOT_SET"}, {"url": "json://127.0.0.1:9/"}]
    events: list[Event] = []
    shop.with_edits(1, limits={"stall_s": 0.1}, notify=notify)
    endpoint = emulator(pictures="plain", latency={"median_s": 0.4})
    result = run(shop, endpoint, environ={"HOOK": hook.url}, observe=events.append)
    assert result.exit_code == 0
    lines = sorted([event.line for event in events if isinstance(event, Notified)])
    assert len(lines) == 3, lines
    assert lines[0].startswith("could not notify HOOK: ")
    assert "NOT_SET is not set" in lines[1]
    assert lines[2].startswith("could not notify json://127.0.0.1:9/: ")


def test_who_could_not_be_reached_is_told_the_next_time(
    shop: Shop, emulator: Emulators, hook: Hook
) -> None:
    hook.status = 500
    shop.with_edits(9, budget={"run_usd": 0.05}, notify=[{"url_env": "HOOK", "on": ["cap"]}])
    endpoint, environ = emulator(pictures="plain"), {"HOOK": hook.url}
    run(shop, endpoint, environ=environ)
    hook.status = 200
    run(shop, endpoint, environ=environ)
    run(shop, endpoint, environ=environ)
    assert len(hook.calls) == 2


def test_a_service_that_hangs_is_not_waited_for(
    shop: Shop, emulator: Emulators, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr(sending.deliver, "__kwdefaults__", {"patience_s": 1.5})
    hook.gate = threading.Event()
    events: list[Event] = []
    shop.with_edits(1, notify=[{"url_env": "HOOK"}])
    run(shop, emulator(pictures="plain"), environ={"HOOK": hook.url}, observe=events.append)
    [told] = [event for event in events if isinstance(event, Notified)]
    assert told.trouble == "no answer within 1.5 s"


def test_an_unreadable_memory_costs_a_second_message_and_no_run(
    shop: Shop, emulator: Emulators, mailbox: Mailbox
) -> None:
    shop.outputs.mkdir(parents=True)
    (shop.outputs / "ledger.db").write_text("no ledger")
    shop.with_edits(1, notify=[{"url": mailbox.url}])
    for _ in range(2):
        with pytest.raises(pipeline.errors.LedgerError):
            run(shop, emulator(pictures="plain"))
    assert mailbox.subjects == ["shop: could not start"] * 2


def test_of_an_address_what_is_secret_is_hidden_and_the_rest_is_not() -> None:
    words = "pa@s1 hunter2 ops@shop.example mail.example T0k3nT0k3n"
    for url, hidden in (
        ("mailtos://me:pa@s1@mail.example?to=ops@shop.example", "pa@s1"),
        ("json://mail.example/?to=ops@shop.example&pass=hunter2", "hunter2"),
        ("tgram://T0k3nT0k3n/chat", "T0k3nT0k3n"),
    ):
        assert sending.hide(f"{url} {words}", [url]) == f"*** {words.replace(hidden, '***')}"


# --- the job


@pytest.mark.parametrize(
    ("recipient", "words"),
    [
        ({"url": "mailto://me:hunter22@mail.example"}, "it holds a password"),
        ({"url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"}, "carry their token"),
        ({"url": f"json://hooks.example/{TOKEN}"}, "seems to hold a token"),
        ({"url": "json://hooks.example/?token=abc"}, "seems to hold a token"),
        ({"url": "json://hooks.example/?+Authorization=abc"}, "seems to hold a token"),
        ({"url_env": "slack://a/b/c"}, "no NAME of an environment variable"),
        ({}, "url_env"),
        ({"url": "json://a", "url_env": "A"}, "one of the two"),
        ({"url_env": "A", "on": ["fail"]}, "not among the choices"),
        ({"url_env": "A", "title": "{{ hedline }}"}, "did you mean 'headline'?"),
        ({"url_env": "A", "body": "{{ job "}, "cannot be read"),
        ({"url_env": "A", "boddy": "x"}, "did you mean 'body'?"),
        ({"token": "abc"}, "does not belong into a job file"),
    ],
)
def test_what_cannot_be_used_or_is_secret_is_refused_with_a_way_out(
    shop: Shop, recipient: dict[str, Any], words: str
) -> None:
    shop.with_edits(1, notify=[recipient])
    with pytest.raises(pipeline.errors.JobError) as refused:
        pipeline.load_job(shop.job)
    assert words in str(refused.value)
    assert "hunter22" not in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_the_variables_of_a_message_are_those_that_a_job_may_name(shop: Shop) -> None:
    from pipeline.job.notify import VARIABLES
    from pipeline.notifying.matters import Matter
    from pipeline.notifying.wording import values_of

    job = pipeline.load_job(shop.with_edits(1).job)
    assert values_of(job, Matter(on="finish", headline="x")).keys() == VARIABLES


# --- the command


def test_notify_test_sends_to_everybody_and_says_who_was_not_reached(
    shop: Shop, command: Command, mailbox: Mailbox, hook: Hook
) -> None:
    shop.with_edits(1, notify=[{"url": mailbox.url}, {"url_env": "HOOK", "on": "cap"}])
    done = command("notify", shop.job, "--test", env={"HOOK": hook.url})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("sent") == 2
    assert mailbox.subjects == ["shop: a test"]
    assert hook.calls[0]["message"].strip() == "This is a test. You will be told of: cap."
    hook.status = 401
    done = command("notify", shop.job, "--test", "--json", env={"HOOK": hook.url})
    assert done.returncode == 2
    first, second = json.loads(done.stdout)
    assert first["trouble"] == ""
    assert second["to"] == "HOOK"
    assert second["trouble"]
    assert TOKEN not in done.stdout + done.stderr


def test_notify_says_who_is_told_and_what_they_know(
    shop: Shop, emulator: Emulators, command: Command, mailbox: Mailbox
) -> None:
    shop.with_edits(9, budget={"run_usd": 0.05}, notify=[{"url": mailbox.url}, {"url_env": "GONE"}])
    run(shop, emulator(pictures="plain"))
    done = command("notify", shop.job)
    assert done.returncode == 0, done.stderr
    assert "GONE  not set" in done.stdout
    assert "stopped at a money cap" in done.stdout
    found = json.loads(command("notify", shop.job, "--json").stdout)
    assert [one["set"] for one in found["recipients"]] == [True, False]
    assert found["open_problems"][0]["to"] == [mailbox.url]
    assert read(shop.outputs / "ledger.db").keys() == {"cap run_usd"}


def test_notify_names_the_model_that_a_problem_is_of(
    shop: Shop, emulator: Emulators, command: Command, hook: Hook
) -> None:
    models = [
        {"model": "google/gemini-2.5-flash-image-edit", "name": "flash"},
        {"model": "google/nano-banana-edit", "name": "banana"},
    ]
    env = {"HOOK": hook.url}
    shop.write("id,images\na,gone.jpg\n", models=models, notify=[{"url_env": "HOOK"}])
    command("run", shop.job, "--base-url", emulator().url, "--quiet", env=env)
    assert hook.titles == ["shop@flash: 1 failed", "shop@banana: 1 failed"]
    shown = command("notify", shop.job, env=env).stdout
    assert "flash: 1 failed" in shown
    assert "banana: 1 failed" in shown
    found = json.loads(command("notify", shop.job, "--json", env=env).stdout)["open_problems"]
    assert [one["model"] for one in found] == ["flash", "banana"]


def test_the_command_says_what_could_not_be_sent_even_when_quiet(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    shop.with_edits(1, notify=[{"url_env": "GONE"}])
    done = command("run", shop.job, "--base-url", emulator().url, "--quiet")
    assert done.returncode == 0
    assert done.stderr.count("could not notify GONE") == 1
    assert command("notify", shop.with_edits(1).job, "--test").returncode == 2
