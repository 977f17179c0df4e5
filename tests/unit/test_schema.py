#!/usr/bin/env python3
"""Compares protocol/messages.schema and protocol/error.h with Kafka's own definitions, field by field.

The definitions (JSON of the Kafka project, and a list of its error codes) are not part of this project.
They are looked for in ../shared/kafka-messages beside the checkout, or where KAFKA_MESSAGES says; without
them the test is skipped (exit code 77).

    test_schema.py                  compare
    test_schema.py --draft Name     print the lines of an API or message as our schema would say them, to start
                                    from when one is added; the remarks are yours to write

That the schema language can say all of Kafka's messages is checked too: each is drafted, parsed and compared.
"""
import json
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / 'tools'))
import generate  # noqa: E402


def definitions():
    """The folder of definitions, or None. A worktree may lie deeper than the checkout."""
    if os.environ.get('KAFKA_MESSAGES'):
        return pathlib.Path(os.environ['KAFKA_MESSAGES'])
    for folder in ROOT.parents:
        if (folder / 'shared' / 'kafka-messages').is_dir():
            return folder / 'shared' / 'kafka-messages'
    return None


def load(path):
    """Kafka's JSON has // comments, on lines of their own or behind values."""
    text = path.read_text(encoding='utf-8')
    text = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or '', text, flags=re.S)
    return json.loads(text)


def found(folder, name):
    """The definition of a message: of the protocol, or of a record in an internal topic."""
    paths = [folder / part / (name + '.json') for part in ('clients', 'group-coordinator', 'transaction-coordinator')]
    return next((path for path in paths if path.exists()), None)


def clipped(text, outer):
    return generate.intersect(generate.version_range(text), outer)


def default_of(field, field_type, nullable, versions):
    """Kafka's default in our terms: None where it is the type's own."""
    value = field.get('default')
    if value is None and 'default' not in field or value == '':
        return 'null' if field_type == 'records' else None
    if value in (None, 'null'):
        return 'null'
    if isinstance(value, bool) or value in ('true', 'false'):
        return int(str(value).lower() == 'true') or None
    return int(str(value), 0) or None


class Comparison:
    def __init__(self):
        self.differences = []
        self.fields = 0
        self.valid = generate.NONE      # versions of the message at hand

    def same(self, where, what, ours, kafkas):
        if ours != kafkas:
            self.differences.append('%s: %s is %s, in Kafka %s' % (where, what, ours, kafkas))

    def structs(self, where, struct, kafka_fields, common, outer):
        ours = {field.name: field for field in struct.fields}
        theirs = [field for field in kafka_fields
                  if clipped(field.get('versions', field.get('taggedVersions')), outer) != generate.NONE]
        self.same(where, 'the order of fields', list(ours), [field['name'] for field in theirs])
        for kafka in theirs:
            if kafka['name'] in ours:
                self.field('%s.%s' % (where, kafka['name']), ours[kafka['name']], kafka, common, outer)

    def field(self, where, field, kafka, common, outer):
        self.fields += 1
        versions = clipped(kafka.get('versions', kafka.get('taggedVersions')), outer)
        nullable = clipped(kafka.get('nullableVersions', 'none'), versions)
        kafka_type = kafka['type'].removeprefix('[]')
        self.same(where, 'array', field.array, kafka['type'].startswith('[]'))
        self.same(where, 'type', field.struct.name if field.struct else field.type, kafka_type)
        self.same(where, 'versions', field.versions, versions)
        self.same(where, 'nullable', field.nullable, nullable)
        self.same(where, 'tag', field.tag, kafka.get('tag'))
        self.same(where, 'tagged versions', field.tagged, clipped(kafka.get('taggedVersions', 'none'), versions))
        self.same(where, 'default', field.default or None, default_of(kafka, kafka_type, nullable, versions))
        self.same(where, 'flexible never', field.never_flexible, kafka.get('flexibleVersions') == 'none')
        if 'flexibleVersions' in kafka and kafka['flexibleVersions'] != 'none':
            self.differences.append('%s: an override of flexible versions that we cannot express' % where)
        if field.struct:
            nested = kafka.get('fields') or common[kafka_type]['fields']
            inner = versions
            if kafka_type in common:
                inner = clipped(common[kafka_type]['versions'], self.valid)
                self.same(where, 'versions of the struct', field.struct.versions, inner)
            self.structs(where, field.struct, nested, common, inner)

    def message(self, message, kafka):
        self.valid = valid = generate.version_range(kafka['validVersions'])
        self.same(message.name, 'versions', message.versions, valid)
        self.same(message.name, 'flexible', message.flexible, clipped(kafka['flexibleVersions'], valid))
        common = {struct['name']: struct for struct in kafka.get('commonStructs', [])}
        self.structs(message.name, message.body, kafka['fields'], common, valid)

    def api(self, api, request, response):
        self.same(api.name, 'key', api.key, request['apiKey'])
        self.same(api.name, "the response's key", api.key, response['apiKey'])
        unstable = request.get('latestVersionUnstable', False)
        self.same(api.name, 'newest version unstable', api.advertised[1] < api.versions[1], unstable)


def error_rows(header):
    rows = re.findall(r'^    X\((-?\d+), (\w+), (true|false), "', header, flags=re.M)
    return [(int(code), name, retriable == 'true') for code, name, retriable in rows]


def kafka_error_rows(path):
    for line in path.read_text(encoding='utf-8').splitlines():
        code, name, retriable = line.split('\t')[:3]
        yield int(code), name, retriable == 'retriable'


# ---- drafts ----

def range_text(versions, outer):
    """The shortest text, '' where it is all of the outer range."""
    if generate.inside(outer, versions):
        return ''
    if versions[1] >= outer[1]:
        return '%d+' % versions[0]
    return '%d' % versions[0] if versions[0] == versions[1] else '%d-%d' % versions


def field_rows(kafka_fields, outer, common, depth):
    """(depth, words) of each field that has a version."""
    for kafka in kafka_fields:
        versions = clipped(kafka.get('versions', kafka.get('taggedVersions')), outer)
        if versions == generate.NONE:
            continue
        kafka_type = kafka['type'].removeprefix('[]')
        text = '[%s]' % kafka_type if kafka['type'].startswith('[]') else kafka_type
        nullable = clipped(kafka.get('nullableVersions', 'none'), versions)
        if nullable != generate.NONE:
            text += '?' + range_text(nullable, versions)
        rest = []
        default = default_of(kafka, kafka_type, nullable, versions)
        if default is not None and kafka_type != 'records':
            rest.append('= %s' % ('true' if kafka_type == 'bool' else default))
        if 'tag' in kafka:
            tagged = range_text(clipped(kafka['taggedVersions'], versions), versions)
            rest.append(('tag %d %s' % (kafka['tag'], tagged)).strip())
        if kafka.get('flexibleVersions') == 'none':
            rest.append('flexible never')
        yield depth, kafka['name'], text, range_text(versions, outer), ' '.join(rest)
        if 'fields' in kafka:
            yield from field_rows(kafka['fields'], versions, common, depth + 1)


def body_lines(kafka, depth):
    valid = generate.version_range(kafka['validVersions'])
    common = {struct['name']: struct for struct in kafka.get('commonStructs', [])}
    rows, done = [], []

    def describe(struct):
        if struct['name'] in done:
            return
        done.append(struct['name'])
        for field in struct['fields']:
            if field['type'].removeprefix('[]') in common:
                describe(common[field['type'].removeprefix('[]')])
        versions = clipped(struct['versions'], valid)
        rows.append((depth, 'struct ' + struct['name'], range_text(versions, valid), '', ''))
        rows.extend(field_rows(struct['fields'], versions, common, depth + 1))

    for struct in common.values():
        describe(struct)
    rows.extend(field_rows(kafka['fields'], valid, common, depth))
    names = max([4 * row[0] + len(row[1]) for row in rows], default=0)
    types = max([len(row[2]) for row in rows], default=0)
    for level, name, kind, versions, rest in rows:
        line = '%s  %s  %s %s' % ((' ' * 4 * level + name).ljust(names), kind.ljust(types), versions.ljust(5), rest)
        yield line.rstrip()


def head(kafka, words):
    line = '%s  versions %s' % (words, kafka['validVersions'])
    if kafka['flexibleVersions'] != 'none':
        line += '  flexible ' + kafka['flexibleVersions']
    if kafka.get('latestVersionUnstable'):
        line += '  unstable %d' % generate.version_range(kafka['validVersions'])[1]
    return line


def draft(folder, name):
    """The text of API `name`, or of the message of that name."""
    if found(folder, name):
        kafka = load(found(folder, name))
        kind = 'header' if kafka['type'] == 'header' else 'data'
        return '\n'.join([head(kafka, '%s %s' % (kind, kafka['name'])), *body_lines(kafka, 1)]) + '\n'
    request, response = load(found(folder, name + 'Request')), load(found(folder, name + 'Response'))
    return '\n'.join([head(request, 'api %s  key %d' % (name, request['apiKey'])),
                      '    request', *body_lines(request, 2),
                      '    response', *body_lines(response, 2)]) + '\n'


def drafts_compare(folder):
    """Number of messages whose draft was parsed and found the same; differences are printed."""
    count = 0
    for path in sorted((folder / 'clients').glob('*.json')):
        kafka = load(path)
        name = kafka['name'].removesuffix('Request')
        if kafka['type'] == 'response' or kafka['validVersions'] == 'none' or '*' in name:
            continue
        schema = generate.parse(draft(folder, name))
        comparison = Comparison()
        for message in schema.messages:
            comparison.message(message, load(found(folder, message.name)))
            count += 1
        for difference in comparison.differences:
            print('draft of %s' % difference)
        if comparison.differences:
            return 0
    return count


def main():
    folder = definitions()
    if not folder:
        print('skipped: no definitions of Kafka in ../shared/kafka-messages (or KAFKA_MESSAGES)')
        return 77
    if sys.argv[1:2] == ['--draft']:
        print(draft(folder, sys.argv[2]), end='')
        return 0
    schema = generate.parse((ROOT / 'protocol/messages.schema').read_text(encoding='utf-8'))
    comparison = Comparison()
    for message in schema.messages:
        comparison.message(message, load(found(folder, message.name)))
    for api in schema.apis:
        comparison.api(api, load(folder / 'clients' / (api.name + 'Request.json')),
                       load(folder / 'clients' / (api.name + 'Response.json')))
    ours = error_rows((ROOT / 'protocol/error.h').read_text(encoding='utf-8'))
    theirs = list(kafka_error_rows(next(folder.glob('errors-*.tsv'))))
    comparison.same('error.h', 'number of codes', len(ours), len(theirs))
    for row, kafka in zip(ours, theirs):
        comparison.same('error.h', 'a row', row, kafka)
    for difference in comparison.differences:
        print(difference)
    drafted = drafts_compare(folder)
    print('%d messages, %d fields, %d error codes compared, %d differences; %d messages drafted'
          % (len(schema.messages), comparison.fields, len(theirs), len(comparison.differences), drafted))
    return 1 if comparison.differences or not comparison.fields or not drafted else 0


if __name__ == '__main__':
    sys.exit(main())
