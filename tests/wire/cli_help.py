#!/usr/bin/env python3
"""The command line explains itself: --help, the man page and the exit codes agree. Needs no broker."""

import re

import harness

CLIENT = ["topics list", "topics create", "topics describe", "topics delete", "produce", "consume", "groups list",
          "groups describe"]
PROCESS = ["process list", "process load", "process unload"]
LEAVES = [*CLIENT, *PROCESS, "process new", "storage check"]
GROUPS = ["topics", "groups", "process", "storage"]


def help_of(command):
    return harness.millrace(*command.split(), "--help").stdout.decode()


def options_of_help(text):
    """{long name: (letter or "", value or "")} of the lines below "Options:"."""
    block = text.partition("\nOptions:\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^  (?:-(\w), |    )--([\w-]+)(?: ([^\s].*?))?(?:  |$)", block, re.M)
    return {name: (letter, value) for letter, name, value in rows}


def man_sections():
    """{title of .Ss: {long name: (letter, value)}}"""
    sections, current = {}, None
    for line in (harness.ROOT / "tools" / "millrace.1").read_text().splitlines():
        if line.startswith(".Ss "):
            current = sections.setdefault(line[4:], {})
        elif line.startswith(".Sh "):
            current = None
        match = re.match(r"\.It (?:Fl (\w) , )?Fl Fl ([\w-]+)(?: (?:Ar|Cm) (.*))?", line)
        if match and current is not None:
            current[match.group(2)] = (match.group(1) or "", (match.group(3) or "").replace(" ", ""))
    return sections


def man_options_of(command, sections):
    found = {}
    for title, options in sections.items():
        if title == command or title.startswith(command + " "):
            found.update(options)
        if title == "Options of all client commands" and command in CLIENT:
            found.update(options)
        if title == "Options of process list, load and unload" and command in PROCESS:
            found.update(options)
    return found


def test_man_page_and_help_tell_the_same_options():
    sections = man_sections()
    for command in LEAVES:
        told = options_of_help(help_of(command))
        assert told.pop("help", None) == ("h", ""), f"{command}: no --help in {told}"
        assert told, f"{command}: no options found in its help"
        written = man_options_of(command, sections)
        assert told == written, f"{command}:\n help {told}\n man  {written}"


def test_man_page_tells_every_option_of_serve():
    text = harness.millrace("serve", "--help").stdout.decode()
    told = set(re.findall(r"^  --([\w-]+)", text, re.M)) - {"help"}
    page = (harness.ROOT / "tools" / "millrace.1").read_text()
    section = page.partition("\n.Ss serve ")[2].partition("\n.Ss ")[0]
    written = set(re.findall(r"^\.It Fl Fl ([\w-]+)", section, re.M))
    assert told and told == written, f"help {told}, man {written}"


def test_every_command_has_a_section_in_the_man_page():
    titles = man_sections()
    for command in LEAVES:
        synopsis = re.match(r"Usage: millrace (.*)", help_of(command)).group(1)
        assert synopsis in titles, f"no '.Ss {synopsis}'"


def test_examples_use_options_that_exist():
    for command in LEAVES:
        text = help_of(command)
        examples = re.findall(r"^  (?:.*\| )?millrace (.*)$", text, re.M)
        assert examples, f"{command}: no example"
        for example in examples:
            for part in re.split(r"\||&&", example):
                words = part.replace("millrace ", "").split()
                leaf = next((leaf for leaf in LEAVES if " ".join(words).startswith(leaf)), None)
                if not leaf:
                    continue
                known = options_of_help(help_of(leaf))
                letters = {letter for letter, _ in known.values()}
                for word in words:
                    if re.fullmatch(r"--[\w-]+", word):
                        assert word[2:] in known, f"{command}: the example uses {word}"
                    elif re.fullmatch(r"-[A-Za-z]", word):
                        assert word[1:] in letters, f"{command}: the example uses {word}"


def test_groups_of_commands_list_them():
    for group in GROUPS:
        text = help_of(group)
        for leaf in LEAVES:
            if leaf.startswith(group + " "):
                assert f"\n  {leaf.split()[1]} " in text, f"{group} --help does not tell {leaf}"


def test_top_level_help_lists_every_command():
    text = harness.millrace("--help").stdout.decode()
    for name in [*GROUPS, "produce", "consume", "serve"]:
        assert f"\n  {name} " in text, f"--help does not tell {name}"


def test_version():
    assert re.fullmatch(rb"millrace \d+\.\d+\.\d+\n", harness.millrace("--version").stdout)


def usage_error(*words):
    done = harness.millrace(*words, check=False)
    assert done.returncode == 2, f"{words}: exit {done.returncode}"
    assert done.stdout == b"", f"{words}: {done.stdout}"
    return done.stderr.decode()


def test_unknown_names_are_told_with_the_nearest():
    assert "did you mean 'produce'?" in usage_error("prodcue")
    assert "did you mean '--version'?" in usage_error("--versoin")
    assert "did you mean 'describe'?" in usage_error("topics", "descirbe")
    assert "did you mean 'unload'?" in usage_error("process", "unlaod", "x")
    assert "did you mean --partitions?" in usage_error("topics", "create", "t", "--partition", "3")
    assert "did you mean" not in usage_error("xyzzy")


def test_wrong_usage_is_exit_2_and_tries_nothing():
    for words in [[], ["topics"], ["consume"], ["consume", "a", "b"], ["topics", "create"],
                  ["topics", "create", "t", "-p", "many"], ["produce", "t", "--acks"],
                  ["consume", "t", "--from", "soon"], ["consume", "t", "--format", "%q"],
                  ["consume", "t", "-g", "g", "-p", "1"],
                  ["produce", "t", "-H", "novalue"], ["produce", "t", "-J", "-K", ":"], ["produce", "t", "-z", "rar"],
                  ["produce", "t", "-d", "\\q"], ["consume", "t", "-X", "no.such=1"], ["consume", "t", "-X", "no"],
                  ["topics", "create", "t", "-c", "novalue"], ["process", "load"], ["process", "new", "Bad Name"],
                  ["process", "list", "--timeout", "0"]]:
        text = usage_error(*words)
        assert text.startswith(("millrace", "Usage: millrace")), f"{words}: {text}"


def test_unreachable_is_exit_3_within_the_time():
    port = harness.free_port()
    for words in [["topics", "list"], ["consume", "t"], ["produce", "t"], ["groups", "list"]]:
        done = harness.millrace(*words, "-b", f"127.0.0.1:{port}", "--timeout", "1", check=False, timeout_s=10)
        assert done.returncode == 3, f"{words}: exit {done.returncode}: {done.stderr}"
        assert b"Connection refused" in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1, f"noise: {done.stderr}"
    done = harness.millrace("process", "list", "--socket", "/nonexistent/control.sock", check=False)
    assert done.returncode == 3 and b"is `millrace serve` running?" in done.stderr, done


def test_client_is_found_beside_the_program_or_in_libexec():
    import os
    import pathlib
    import shutil
    import tempfile
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        (root / "bin").mkdir()
        (root / "libexec" / "millrace").mkdir(parents=True)
        shutil.copy(harness.MILLRACE, root / "bin" / "millrace")
        alone = harness.run([root / "bin" / "millrace", "topics", "--help"], check=False)
        assert alone.returncode == 1 and b"millrace-client is missing" in alone.stderr, alone
        os.symlink(harness.BUILD / "millrace-client", root / "libexec" / "millrace" / "millrace-client")
        harness.run([root / "bin" / "millrace", "topics", "--help"])


def test_millrace_does_not_load_librdkafka():
    text = harness.run(["ldd", harness.MILLRACE]).stdout
    assert b"rdkafka" not in text, text
    assert b"rdkafka" in harness.run(["ldd", harness.BUILD / "millrace-client"]).stdout


def test_an_output_that_cannot_be_written_is_a_failure():
    for words in [["--help"], ["--version"], ["consume", "--help"], ["process", "new", "--help"]]:
        with open("/dev/full", "wb") as full:
            process = harness.spawn([harness.MILLRACE, *words], stdout=full, stderr=-1)
            _, error = process.communicate(timeout=10)
        assert process.returncode == 1 and b"No space left" in error, f"{words}: {process.returncode} {error}"


harness.main(globals())
