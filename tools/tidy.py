#!/usr/bin/env python3
"""tidy.py - the rules of the house that a compiler does not check.

    tools/tidy.py             check the tree; TAP, one case per rule; exit 1 when a rule is broken
    tools/tidy.py --self-test show for every rule that it finds a planted mistake

What a rule forbids and somebody must do all the same stands in EXEMPT with the reason. An exemption that
nothing needs any more is a mistake too.
"""

import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Who may include whom. millrace/processor.h is public and may be included from everywhere.
ARROWS = {
    "protocol": {"protocol"},
    "storage": {"storage", "protocol"},
    "processors": {"processors", "storage", "protocol"},
    "broker": {"broker", "processors", "storage", "protocol"},
    "tools": {"tools", "broker", "processors", "storage", "protocol"},
    "tests": {"tests", "tools", "broker", "processors", "storage", "protocol"},
}
FOLDERS = list(ARROWS)
TOP_LEVEL = {*FOLDERS, "meson.build", "README.md", "LICENSE", "NOTICE", ".git", ".gitignore", ".clang-format",
             ".clang-tidy", ".ci", ".github"}

# Libraries that only some files may know. tests/ may use everything.
CONFINED = {
    "uv.h": ["broker/", "storage/disk_plain.c"],
    "liburing.h": ["storage/disk_uring.c"],
    "librdkafka/rdkafka.h": ["tools/client/"],
    "jansson.h": ["tools/", "broker/"],
    "http_parser.h": ["tools/", "broker/"],
}

# Calls, why they are banned, and the folders in which they are. Plugins and tests are programs of their own.
HOUSE = ("protocol", "storage", "processors", "broker", "tools")
LIBRARY = ("protocol", "storage", "processors", "broker")
BANNED = [
    ("malloc calloc realloc free strdup strndup asprintf vasprintf reallocarray", "use protocol/base/mem.h", HOUSE),
    ("time gettimeofday clock_gettime localtime gmtime_r localtime_r", "ask the clock door", LIBRARY),
    ("rand srand random_r rand_r drand48 lrand48 getrandom getentropy", "ask the random door", LIBRARY),
    ("open openat creat fopen mkdir mkdirat rename renameat unlink unlinkat opendir fsync fdatasync truncate "
     "ftruncate", "ask the disk door", LIBRARY),
    ("sleep usleep nanosleep", "nothing waits by sleeping", LIBRARY),
    ("getenv secure_getenv", "the environment is read at one place", LIBRARY),
    ("fork vfork system popen", "no child processes here", HOUSE),
    ("exit _exit quick_exit abort", "hand the error to the caller", LIBRARY),
    ("strcpy strcat sprintf vsprintf gets strtok atoi atol atof alloca setjmp longjmp", "never safe enough", HOUSE),
]

# (rule, path or path:name) -> reason
EXEMPT = {
    ("calls", "protocol/base/mem.c"): "the only malloc of the house; aborts when memory runs out",
    ("calls", "storage/clock.c"): "the real side of the clock door",
    ("calls", "storage/disk_posix.c"): "the real side of the disk door",
    ("calls", "broker/serve.c"): "the one place that reads the environment and the properties file",
    ("calls", "broker/control.c"): "a stale socket is no file of the data; libuv binds the new one",
    ("calls", "broker/server.c"): "fills the doors, so it stands outside of them; ends the process",
    ("calls", "processors/plugin.c"): "files that dlopen must see, tried in a child that may crash",
}

README_LINES_MAX = 60
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = {".c": 100, ".h": 100, ".py": 120, ".build": 120}


class File:
    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.folder = self.path.split("/")[0]
        self.suffix = path.suffix
        self.name = path.name
        self.text = path.read_text(errors="replace")
        self.lines = self.text.splitlines()
        self.is_c = self.suffix in (".c", ".h")
        self.is_plugin = self.path.startswith(("processors/examples/", "tools/template/"))
        self.code = strip_comments(self.text).splitlines() if self.is_c else []


def strip_comments(text):
    """C without comments and without the insides of strings; the lines stay where they are."""
    def blank(match):
        piece = match.group(0)
        if piece[0] in "\"'":
            return piece[0] + piece[0]
        return "\n" * piece.count("\n")
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def read_tree(root):
    files = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts or "corpus" in path.parts:
                continue
            if path.suffix in COLUMNS_MAX or path.suffix in (".sh", ".md", ""):
                files.append(File(root, path))
    return files


# ---- the rules: each yields (path, line, text) --------------------------------------------------

def includes(file):
    for number, line in enumerate(file.lines, 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def rule_arrows(root, files):
    """includes follow the arrows: tools -> broker -> processors -> storage -> protocol"""
    for file in files:
        if not file.is_c or file.is_plugin:
            continue
        for number, quoted, name in includes(file):
            target = name.split("/")[0]
            if quoted and target in ARROWS and target not in ARROWS[file.folder]:
                yield file.path, number, f"{file.folder}/ may not know {name}"
            elif quoted and "/" not in name:
                yield file.path, number, f'write the include from the root: "{file.path.rpartition("/")[0]}/{name}"'


def rule_libraries(root, files):
    """libuv, liburing, librdkafka, jansson and http_parser stay where they belong"""
    for file in files:
        for number, _, name in includes(file) if file.is_c and file.folder != "tests" else ():
            if name in CONFINED and not file.path.startswith(tuple(CONFINED[name])):
                yield file.path, number, f"<{name}> belongs into {' and '.join(CONFINED[name])} only"


def rule_calls(root, files):
    """no banned calls"""
    table = {}
    for names, why, folders in BANNED:
        for name in names.split():
            table[name] = (why, folders)
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(table) + r")\s*\(")
    for file in files:
        if not file.is_c or file.is_plugin:
            continue
        for number, line in enumerate(file.code, 1):
            for match in pattern.finditer(line):
                why, folders = table[match.group(1)]
                if file.folder in folders:
                    yield file.path, number, f"{match.group(1)}(): {why}"


def rule_functions(root, files):
    """no function is longer than 70 lines"""
    for file in files:
        began = None
        for number, line in enumerate(file.code, 1):
            if line.startswith("{"):
                began = number
            elif line.startswith("}") and began:
                if number - began - 1 > FUNCTION_LINES_MAX:
                    yield file.path, began, f"a function of {number - began - 1} lines"
                began = None


def rule_columns(root, files):
    """no line of C is longer than 100 columns, no line of Python or Meson longer than 120"""
    for file in files:
        for number, line in enumerate(file.lines, 1):
            columns = len(line.expandtabs(8))
            if columns > COLUMNS_MAX.get(file.suffix, columns):
                yield file.path, number, f"{columns} columns"


def rule_guards(root, files):
    """every header has a guard of its own, named for the file"""
    seen = {}
    for file in files:
        if file.suffix != ".h":
            continue
        match = re.search(r"^#ifndef (\w+)\n#define (\w+)\n", file.text, re.M)
        wanted = re.sub(r"\W", "_", file.name).upper()
        if not match or match.group(1) != match.group(2) or not file.text.rstrip().endswith("#endif"):
            yield file.path, 1, "no include guard around the whole header"
        elif not match.group(1).endswith(wanted):
            yield file.path, 1, f"the guard {match.group(1)} should end with {wanted}"
        elif match.group(1) in seen:
            yield file.path, 1, f"{seen[match.group(1)]} has the same guard"
        else:
            seen[match.group(1)] = file.path


def rule_globals(root, files):
    """no mutable data outside of functions, none that is static inside of one"""
    pattern = re.compile(r"^\s*(static|_Thread_local|thread_local|__thread)\b(?!.*\bconst\b)[^(]*(;|=)")
    for file in files:
        if not file.is_c or file.folder == "tests":
            continue
        for number, line in enumerate(file.code, 1):
            if pattern.match(line):
                yield file.path, number, "mutable data belongs into an owner's struct"


def rule_typedefs(root, files):
    """structs have no typedef (the processor ABI is public and has its own style)"""
    for file in files:
        if not file.is_c or file.is_plugin or file.path.startswith("processors/include/"):
            continue
        for number, line in enumerate(file.code, 1):
            if re.match(r"\s*typedef\s+(struct|union|enum)\b", line):
                yield file.path, number, "write struct NAME"


def rule_top_level(root, files):
    """the top level holds the six folders and a few files"""
    for path in sorted(root.iterdir()):
        if path.name not in TOP_LEVEL and not path.name.startswith("build"):
            yield path.name, 1, "does not belong to the top level"


def rule_readmes(root, files):
    """every folder has a README.md of at most 60 lines"""
    for folder in ["", *FOLDERS]:
        path = root / folder / "README.md"
        name = path.relative_to(root).as_posix()
        if not path.is_file():
            yield name, 1, "is missing"
        elif len(path.read_text().splitlines()) > README_LINES_MAX and folder:
            yield name, 1, f"longer than {README_LINES_MAX} lines"


def rule_leftovers(root, files):
    """nothing is left for later or tied to one machine"""
    pattern = re.compile(r"\b(FIX" + r"ME|TO" + r"DO|X" + r"XX|HA" + r"CK)\b|/wo" + r"rk/")
    for file in files:
        for number, line in enumerate(file.lines, 1):
            match = pattern.search(line)
            if match:
                yield file.path, number, f"'{match.group(0)}'"


def rule_headers_told(root, files):
    """every .c and .h opens with a comment that says what it is"""
    for file in files:
        if file.is_c and not file.text.startswith("/*"):
            yield file.path, 1, "the first line is no comment"


RULES = [rule_arrows, rule_libraries, rule_calls, rule_functions, rule_columns, rule_guards, rule_globals,
         rule_typedefs, rule_top_level, rule_readmes, rule_leftovers, rule_headers_told]


def broken(root, rule, files, used):
    name = rule.__name__.removeprefix("rule_")
    for path, line, text in rule(root, files):
        if (name, path) in EXEMPT:
            used.add((name, path))
        else:
            yield f"{path}:{line}: {text}"


def check(root):
    files = read_tree(root)
    used, good = set(), True
    print(f"1..{len(RULES) + 1}")
    for number, rule in enumerate(RULES, 1):
        mistakes = list(broken(root, rule, files, used))
        for mistake in mistakes:
            print("#", mistake)
            print(mistake, file=sys.stderr)
        print("not ok" if mistakes else "ok", number, "-", rule.__doc__)
        good = good and not mistakes
    idle = sorted(set(EXEMPT) - used)
    for rule, path in idle:
        print(f"tools/tidy.py: nothing needs the exemption of {path} from '{rule}' any more", file=sys.stderr)
    print("not ok" if idle else "ok", len(RULES) + 1, "- every exemption is needed")
    return good and not idle


# ---- the self-test: one planted mistake per rule ------------------------------------------------

PLANTED = {
    "arrows": ("storage/a.c", '/* a */\n#include "broker/b.h"\n'),
    "libraries": ("protocol/a.c", "/* a */\n#include <uv.h>\n"),
    "calls": ("storage/a.c", "/* a */\nvoid f(void)\n{\n    g(malloc(1));\n}\n"),
    "functions": ("storage/a.c", "/* a */\nvoid f(void)\n{\n" + "    g();\n" * 71 + "}\n"),
    "columns": ("storage/a.c", "/* " + "a" * 100 + " */\n"),
    "guards": ("storage/a.h", "/* a */\n#ifndef B_H\n#define B_H\n#endif\n"),
    "globals": ("storage/a.c", "/* a */\nstatic int count;\n"),
    "typedefs": ("storage/a.c", "/* a */\ntypedef struct { int a; } a_t;\n"),
    "top_level": ("notes.txt", "x\n"),
    "readmes": ("storage/README.md", "x\n" * 61),
    "leftovers": ("storage/a.c", "/* TO" + "DO: a */\n"),
    "headers_told": ("storage/a.c", "int a(void);\n"),
}
CLEAN = ("storage/a.c", '/* a */\n#include "protocol/base/mem.h"\nstatic const int one = 1;\n'
         'void f(void)\n{\n    mem_free(0); /* free() and "malloc(" in a comment */\n    t->free("open(");\n'
         + "    g();\n" * 68 + "}\n")


def tree_with(directory, planted):
    root = pathlib.Path(directory)
    for folder in ["", *FOLDERS]:
        (root / folder).mkdir(exist_ok=True)
        (root / folder / "README.md").write_text("# readme\n")
    if planted:
        (root / planted[0]).write_text(planted[1])
    return root


def self_test():
    cases = [(name, planted) for name, planted in PLANTED.items()] + [("nothing", CLEAN)]
    good = True
    print(f"1..{len(cases)}")
    for number, (expected, planted) in enumerate(cases, 1):
        with tempfile.TemporaryDirectory() as directory:
            root = tree_with(directory, planted)
            files = read_tree(root)
            found = {rule.__name__.removeprefix("rule_") for rule in RULES if list(rule(root, files))}
        right = found == ({expected} - {"nothing"})
        good = good and right
        print("ok" if right else "not ok", number, f"- a planted mistake is found by: {expected}")
        if not right:
            print(f"# found by {sorted(found)}")
    if set(PLANTED) != {rule.__name__.removeprefix("rule_") for rule in RULES}:
        sys.exit("tidy.py: a rule without a planted mistake")
    return good


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(0 if self_test() else 1)
    sys.exit(0 if check(ROOT) else 1)
