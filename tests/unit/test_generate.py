#!/usr/bin/env python3
"""What tools/generate.py refuses, with the line it blames, and a few things it must get right."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / 'tools'))
import generate  # noqa: E402

DATA = 'data D  versions 0-3  flexible 2+\n'

# (schema, line blamed, part of the reason)
REFUSED = [
    ('thing D  versions 0-1\n', 1, 'expected api, header or data'),
    ('    A int8\n', 1, 'not below a message'),
    ('data d  versions 0-1\n', 1, 'CamelCase name'),
    ('data D\n', 1, 'versions are missing'),
    ('data D  versions 0+\n', 1, 'need both ends'),
    ('data D  versions 3-1\n', 1, 'no version range'),
    ('data D  versions 0-1  flexible\n', 1, 'lacks its value'),
    ('data D  versions 0-1  color 3\n', 1, 'unknown here'),
    ('data D  versions 0-1  key 3\n', 1, 'unknown here'),
    ('data D  versions 0-3  flexible 1-2\n', 1, 'reach to the last one'),
    ('api A  versions 0-1\n', 1, 'key is missing'),
    ('api A  key 1  versions 0-3  unstable 2\n', 1, 'only the newest'),
    ('api A  key 1  versions 0-1\n    response\n', 1, 'lacks its "request"'),
    ('api A  key 1  versions 0-1\n    request\n        X int8\n', 1, 'lacks its "response"'),
    ('api A  key 1  versions 0-1\n    request\n    response\n'
     'api B  key 1  versions 0-1\n    request\n    response\n', 4, 'is taken'),
    (DATA + '\n' + DATA, 3, 'defined twice'),
    (DATA + '   A  int8\n', 2, 'multiple of 4'),
    (DATA + '\tA  int8\n', 2, 'a tab'),
    (DATA + '        A  int8\n', 2, 'deeper than its place'),
    (DATA + '    A\n', 2, 'expected "Name type"'),
    (DATA + '    A_b  int8\n', 2, 'no field name'),
    (DATA + '    A  int24\n', 2, 'no type'),
    (DATA + '    A  [int8\n', 2, 'no type'),
    (DATA + '    A  [[int8]]\n', 2, 'no type'),
    (DATA + '    A  [records]\n', 2, 'no arrays of records'),
    (DATA + '    A  int8  5+\n', 2, 'in no version'),
    (DATA + '    A  int8  x\n', 2, 'not understood'),
    (DATA + '    A  int8?\n', 2, 'cannot be nullable'),
    (DATA + '    A  string?x\n', 2, 'no type'),
    (DATA + '    A  string?3-1\n', 2, 'no version range'),
    (DATA + '    A  string  = null\n', 2, 'not every version is nullable'),
    (DATA + '    A  string?1+  = null\n', 2, 'not every version is nullable'),
    (DATA + '    A  string  = hello\n', 2, 'cannot be the default'),
    (DATA + '    A  int8  = 128\n', 2, 'does not fit'),
    (DATA + '    A  uint16  = -1\n', 2, 'does not fit'),
    (DATA + '    A  bool  = 1\n', 2, 'cannot be the default'),
    (DATA + '    A  [int8]  = 3\n', 2, 'cannot be the default'),
    (DATA + '    A  int8  =\n', 2, 'not understood'),
    (DATA + '    A  int8\n    A  int8\n', 3, 'defined twice'),
    (DATA + '    A  [int8]\n    ACount  int8\n', 3, 'defined twice'),
    (DATA + '    A  int8  tag 0\n', 2, 'tags need flexible versions'),
    (DATA + '    A  int8  2+  tag 0\n    B  int8  2+  tag 0\n', 3, 'tag 0 is taken'),
    (DATA + '    A  int8  2+  tag 255\n', 2, 'below 255'),
    (DATA + '    A  Thing\n', 2, 'has no fields'),
    (DATA + '    A  Thing\n    B  int8\n', 2, 'has no fields'),
    (DATA + '    A  Thing?\n        X  int8\n', 2, 'a nullable struct needs'),
    (DATA + '    A  Thing\n        X  int8\n    B  DThing\n        X  int8\n', 4, 'defined twice'),
    (DATA + '    struct Thing 2+\n        X  int8\n    A  Thing\n', 4, 'does not have all versions'),
    (DATA + '    struct Thing 2+ 3\n        X  int8\n', 2, 'expected "struct Name'),
]


def refusals():
    for text, line, reason in REFUSED:
        try:
            generate.parse(text)
        except generate.Refused as why:
            if not str(why).startswith('line %d: ' % line) or reason not in str(why):
                yield 'wrong reason: %s\n%s' % (why, text)
        else:
            yield 'not refused (%s):\n%s' % (reason, text)


def results():
    names = {'TopicId': 'topic_id', 'LogAppendTimeMs': 'log_append_time_ms', 'Acks': 'acks',
             'timeoutMs': 'timeout_ms', 'ISRNodes': 'isr_nodes', 'Enable2Pc': 'enable2_pc'}
    for name, expected in names.items():
        if generate.snake(name) != expected:
            yield 'snake(%s) is %s' % (name, generate.snake(name))
    schema = generate.parse('''
# about the API
api Join  key 7  versions 1-4  flexible 3+  advertised 0-4
    request
        Rows   [JoinRequestRow]?2+   # the rows
            # above
            Id   int32  1-2
        Other  JoinedThing  3+  tag 1
            X    int8
    response
        Row    JoinRow
            Y    int8  = -1
''')
    request, response = schema.messages
    c_names = [struct.c_name for struct in request.structs + response.structs]
    expected = ['join_request_row', 'join_request_joined_thing', 'join_request', 'join_response_row', 'join_response']
    if c_names != expected:
        yield 'C names: %s' % c_names
    rows, other = request.body.fields
    if (rows.versions, rows.nullable, rows.comment) != ((1, 4), (2, 4), 'the rows'):
        yield 'Rows: %s' % vars(rows)
    if (rows.struct.fields[0].versions, rows.struct.fields[0].comment) != ((1, 2), 'above'):
        yield 'Id: %s' % vars(rows.struct.fields[0])
    if (other.tag, other.tagged) != (1, (3, 4)) or response.body.fields[0].struct.fields[0].default != -1:
        yield 'Other: %s' % vars(other)
    if (schema.apis[0].advertised, request.comment, request.flexible) != ((0, 4), 'about the API', (3, 4)):
        yield 'api: %s' % vars(schema.apis[0])


def main():
    problems = list(refusals()) + list(results())
    for problem in problems:
        print(problem)
    print('%d schemas refused as they should, %d problems' % (len(REFUSED), len(problems)))
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
