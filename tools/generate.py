#!/usr/bin/env python3
"""generate.py SCHEMA OUT.h OUT.c - turns protocol/messages.schema into C structs and const tables.

The grammar is described at the top of the schema file. Everything a line can get wrong is refused
here, with its line number, so that the interpreter (protocol/codec.c) may trust its tables.

    parse(text) -> Schema: apis, messages, each with nested Structs of Fields
    header(schema, guard), source(schema, header_name) -> C text
"""
import os
import re
import sys

VERSION_MAX = 32767
NONE = (1, 0)  # an empty range

SCALARS = {  # type: (C type, FIELD_*, lowest, highest)
    'bool': ('bool', 'BOOL', 0, 1),
    'int8': ('int8_t', 'INT8', -2**7, 2**7 - 1),
    'int16': ('int16_t', 'INT16', -2**15, 2**15 - 1),
    'uint16': ('uint16_t', 'UINT16', 0, 2**16 - 1),
    'int32': ('int32_t', 'INT32', -2**31, 2**31 - 1),
    'uint32': ('uint32_t', 'UINT32', 0, 2**32 - 1),
    'int64': ('int64_t', 'INT64', -2**63, 2**63 - 1),
    'float64': ('double', 'FLOAT64', None, None),
    'uuid': ('struct uuid', 'UUID', None, None),
    'string': ('struct bytes', 'STRING', None, None),
    'bytes': ('struct bytes', 'BYTES', None, None),
    'records': ('struct records', 'RECORDS', None, None),
}
NULLABLE = ('string', 'bytes', 'records')
C_KEYWORDS = set('''auto break case char const continue default do double else enum extern float for
    goto if inline int long register restrict return short signed sizeof static struct switch typedef
    union unsigned void volatile while bool true false'''.split())


class Refused(Exception):
    """The schema is wrong at a line."""


class Line:
    def __init__(self, number, text):
        body, _, comment = text.partition('#')
        self.number = number
        self.indent = len(body) - len(body.lstrip(' '))
        self.words = body.split()
        self.comment = comment.strip()
        if '\t' in text:
            self.refuse('a tab; indent by 4 spaces')
        if self.words and self.indent % 4:
            self.refuse('indented by %d spaces, not by a multiple of 4' % self.indent)

    def refuse(self, why):
        raise Refused('line %d: %s' % (self.number, why))


class Field:
    def __init__(self, name):
        self.name = name
        self.comment = ''
        self.type = None            # a key of SCALARS, or None for a struct
        self.struct = None          # of a struct, or of the elements
        self.array = False
        self.versions = self.nullable = self.tagged = NONE
        self.tag = None
        self.default = None         # int, 'null' or None (the type's own)
        self.never_flexible = False

    @property
    def member(self):
        name = snake(self.name)
        return name + '_' if name in C_KEYWORDS else name


class Struct:
    def __init__(self, name, c_name, versions):
        self.name = name
        self.c_name = c_name        # without "struct"
        self.versions = versions
        self.fields = []
        self.comment = ''


class Message:
    def __init__(self, name, prefix, versions, flexible):
        self.name = name
        self.c_name = snake(name)
        self.prefix = prefix        # "Produce" for ProduceRequest
        self.versions = versions
        self.flexible = flexible
        self.structs = []           # nested ones, children before parents, the body last
        self.body = None
        self.comment = ''


class Api:
    def __init__(self, name, key, versions, advertised):
        self.name = name
        self.key = key
        self.versions = versions
        self.advertised = advertised
        self.request = self.response = None


class Schema:
    def __init__(self):
        self.apis = []
        self.messages = []


def snake(name):
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name).lower()


def intersect(a, b):
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else NONE


def inside(inner, outer):
    return inner == NONE or outer[0] <= inner[0] and inner[1] <= outer[1]


def version_range(text):
    """'3', '3+', '3-7', 'none' -> (low, high), or None if it is no range."""
    if text == 'none':
        return NONE
    match = re.fullmatch(r'(\d+)(\+|-(\d+))?', text)
    if not match:
        return None
    low = int(match.group(1))
    high = low
    if match.group(2) == '+':
        high = VERSION_MAX
    elif match.group(2):
        high = int(match.group(3))
    return (low, high) if low <= high <= VERSION_MAX else None


def parse(text):
    return Parser([Line(number, line) for number, line in enumerate(text.split('\n'), 1)]).schema()


class Parser:
    def __init__(self, lines):
        self.lines = lines
        self.at = 0
        self.pending = []           # comments of the lines right above

    def peek(self):
        while self.at < len(self.lines) and not self.lines[self.at].words:
            comment = self.lines[self.at].comment
            self.pending = self.pending + [comment] if comment else []
            self.at += 1
        return self.lines[self.at] if self.at < len(self.lines) else None

    def take(self):
        line = self.lines[self.at]
        self.at += 1
        comments = self.pending + ([line.comment] if line.comment else [])
        self.pending = []
        return line, ' '.join(comments)

    def schema(self):
        schema = Schema()
        names, keys = set(), set()
        while self.peek():
            line, comment = self.take()
            if line.indent:
                line.refuse('indented, but not below a message')
            if line.words[0] == 'api':
                api = self.api(line, comment)
                schema.apis.append(api)
                found = [api.request, api.response]
                if api.key in keys:
                    line.refuse('key %d is taken' % api.key)
                keys.add(api.key)
            elif line.words[0] in ('header', 'data'):
                found = [self.lone_message(line, comment)]
            else:
                line.refuse('"%s": expected api, header or data' % line.words[0])
            for message in found:
                if message.name in names:
                    line.refuse('%s is defined twice' % message.name)
                names.add(message.name)
                schema.messages.append(message)
        return schema

    def options(self, line, known):
        """'key 3 versions 0-13' -> {'key': '3', ...}"""
        words = line.words[2:]
        if len(line.words) < 2 or not re.fullmatch(r'[A-Z][A-Za-z0-9]*', line.words[1]):
            line.refuse('expected a CamelCase name behind "%s"' % line.words[0])
        if len(words) % 2:
            line.refuse('"%s" lacks its value' % words[-1])
        found = dict(zip(words[::2], words[1::2]))
        for word in words[::2]:
            if word not in known or words[::2].count(word) > 1:
                line.refuse('"%s" is unknown here, or given twice' % word)
        return found

    def range_option(self, line, options, name, default):
        if name not in options:
            return default
        versions = version_range(options[name])
        if versions is None:
            line.refuse('"%s" is no version range' % options[name])
        return versions

    def head(self, line, known):
        options = self.options(line, known)
        if 'versions' not in options:
            line.refuse('versions are missing')
        versions = self.range_option(line, options, 'versions', None)
        if versions == NONE or versions[1] == VERSION_MAX:
            line.refuse('the versions of a message need both ends')
        flexible = intersect(self.range_option(line, options, 'flexible', NONE), versions)
        if flexible != NONE and flexible[1] != versions[1]:
            line.refuse('flexible versions reach to the last one')
        return options, versions, flexible

    def api(self, line, comment):
        known = ('key', 'versions', 'flexible', 'advertised', 'unstable')
        options, versions, flexible = self.head(line, known)
        if not re.fullmatch(r'\d+', options.get('key', '')) or int(options['key']) > 32767:
            line.refuse('the key is missing or no number')
        advertised = self.range_option(line, options, 'advertised', versions)
        unstable = self.range_option(line, options, 'unstable', None)
        if unstable:
            if unstable != (versions[1], versions[1]):
                line.refuse('only the newest version can be unstable')
            advertised = (advertised[0], versions[1] - 1)
        api = Api(line.words[1], int(options['key']), versions, advertised)
        for part in ('request', 'response'):
            if not self.peek() or self.peek().indent != 4 or self.peek().words != [part]:
                line.refuse('%s lacks its "%s"' % (api.name, part))
            _, about = self.take()
            message = Message(api.name + part.capitalize(), api.name, versions, flexible)
            message.comment = about or (comment if part == 'request' else '')
            self.body(message, 8)
            setattr(api, part, message)
        return api

    def lone_message(self, line, comment):
        _, versions, flexible = self.head(line, ('versions', 'flexible'))
        message = Message(line.words[1], line.words[1], versions, flexible)
        message.comment = comment
        self.body(message, 4)
        return message

    def body(self, message, indent):
        self.message = message
        self.named = {}             # nested structs of this message by Kafka's name
        self.c_names = {message.c_name}
        body = Struct(message.name, message.c_name, message.versions)
        while self.peek() and self.peek().indent == indent and self.peek().words[0] == 'struct':
            line, comment = self.take()
            if len(line.words) not in (2, 3):
                line.refuse('expected "struct Name [versions]"')
            versions = version_range(line.words[2]) if len(line.words) == 3 else message.versions
            if versions is None:
                line.refuse('"%s" is no version range' % line.words[2])
            struct = self.new_struct(line, line.words[1], intersect(versions, message.versions))
            struct.comment = comment
            self.fields(struct, indent + 4, line)
            message.structs.append(struct)
        self.fields(body, indent, None)
        message.structs.append(body)
        message.body = body

    def new_struct(self, line, name, versions):
        rest = name
        for prefix in (self.message.name, self.message.prefix):
            match = re.match(prefix + r'(?=[A-Z])', name)
            if match:
                rest = name[match.end():]
                break
        struct = Struct(name, self.message.c_name + '_' + snake(rest), versions)
        if name in self.named or struct.c_name in self.c_names:
            line.refuse('struct %s is defined twice in %s' % (name, self.message.name))
        self.named[name] = struct
        self.c_names.add(struct.c_name)
        return struct

    def fields(self, struct, indent, owner):
        names, tags = set(), set()
        while self.peek() and self.peek().indent >= indent:
            line, comment = self.take()
            if line.indent != indent:
                line.refuse('indented deeper than its place allows')
            field = self.field(line, struct)
            field.comment = comment
            for name in [field.member] + ([field.member + '_count'] if field.array else []):
                if name in names:
                    line.refuse('%s is defined twice' % field.name)
                names.add(name)
            if field.tag in tags:
                line.refuse('tag %d is taken' % field.tag)
            if field.tag is not None:
                tags.add(field.tag)
            struct.fields.append(field)
        if owner and not struct.fields:
            owner.refuse('struct %s has no fields' % struct.name)

    def field(self, line, struct):
        if len(line.words) < 2:
            line.refuse('expected "Name type"')
        if not re.fullmatch(r'[A-Za-z][A-Za-z0-9]*', line.words[0]):
            line.refuse('"%s" is no field name' % line.words[0])
        field = Field(line.words[0])
        match = re.fullmatch(r'(\[?)([A-Za-z0-9]+)(\]?)(\?([-+\d]*))?', line.words[1])
        if not match or bool(match.group(1)) != bool(match.group(3)):
            line.refuse('"%s" is no type' % line.words[1])
        field.array = bool(match.group(1))
        words = line.words[2:]
        versions = version_range(words[0]) if words else None
        if versions:
            words = words[1:]
        field.versions = intersect(versions or (0, VERSION_MAX), struct.versions)
        if field.versions == NONE:
            line.refuse('%s is in no version' % field.name)
        if match.group(4):
            nullable = version_range(match.group(5)) if match.group(5) else (0, VERSION_MAX)
            if nullable is None:
                line.refuse('"%s" is no version range' % match.group(5))
            field.nullable = intersect(nullable, field.versions)
        default = self.attributes(line, field, words)
        self.type(line, field, match.group(2))
        self.default(line, field, default)
        return field

    def attributes(self, line, field, words):
        default = None
        while words:
            if words[0] == '=' and len(words) > 1:
                default, words = words[1], words[2:]
            elif words[:2] == ['flexible', 'never']:
                field.never_flexible, words = True, words[2:]
            elif words[0] == 'tag' and len(words) > 1 and words[1].isdigit():
                field.tag = int(words[1])
                tagged = version_range(words[2]) if len(words) > 2 else None
                words = words[3:] if tagged else words[2:]
                field.tagged = intersect(tagged or field.versions, field.versions)
                if not inside(field.tagged, self.message.flexible) or field.tag > 254:
                    line.refuse('tags need flexible versions (and stay below 255)')
            else:
                line.refuse('"%s" is not understood' % words[0])
        return default

    def type(self, line, field, name):
        if name in SCALARS:
            field.type = name
            if name == 'records' and field.array:
                line.refuse('no arrays of records')
        elif name in self.named:
            field.struct = self.named[name]
            if not inside(field.versions, field.struct.versions):
                line.refuse('%s does not have all versions of %s' % (name, field.name))
        elif name[0].isupper():
            field.struct = self.new_struct(line, name, field.versions)
            self.fields(field.struct, line.indent + 4, line)
            self.message.structs.append(field.struct)
        else:
            line.refuse('"%s" is no type' % name)
        if field.nullable != NONE and not (field.array or field.struct or name in NULLABLE):
            line.refuse('%s cannot be nullable' % name)

    def default(self, line, field, text):
        plain = field.type in SCALARS and not field.array
        if field.type == 'records' and not field.array:
            text = text or 'null'   # as Kafka has it
        elif text == 'null' and field.nullable != field.versions:
            line.refuse('the default is null, but not every version is nullable')
        if field.struct and not field.array and field.nullable != NONE and text != 'null':
            line.refuse('a nullable struct needs "= null"')
        if text in (None, 'null'):
            field.default = text
            if text and plain and field.type not in NULLABLE:
                line.refuse('%s has no null' % field.type)
            return
        low, high = SCALARS[field.type][2:] if plain else (None, None)
        if field.type == 'bool' and plain and text in ('true', 'false'):
            field.default = int(text == 'true')
            return
        if low is None or field.type == 'bool' or not re.fullmatch(r'-?(0x[0-9a-f]+|\d+)', text):
            line.refuse('"%s" cannot be the default of %s' % (text, field.name))
        field.default = int(text, 0)
        if not low <= field.default <= high:
            line.refuse('%s does not fit its type' % text)


# ---- C ----

def upper(name):
    return snake(name).upper()


def member_lines(field):
    if field.array:
        base = 'struct ' + field.struct.c_name if field.struct else SCALARS[field.type][0]
        yield '%s *%s;' % (base, field.member)
        yield 'int32_t %s_count;' % field.member
    elif field.struct:
        star = '*' if field.nullable != NONE else ''
        yield 'struct %s %s%s;' % (field.struct.c_name, star, field.member)
    else:
        yield '%s %s;' % (SCALARS[field.type][0], field.member)


def range_text(versions, outer):
    if versions == NONE:
        return 'none'
    if versions[1] >= outer[1]:
        return 'v%d+' % versions[0]
    return 'v%d-%d' % versions if versions[0] != versions[1] else 'v%d' % versions[0]


def remarks(field, struct, message):
    """What a reader of the header wants to know about a member."""
    words = []
    if field.versions != struct.versions:
        words.append(range_text(field.versions, message.versions))
    if field.nullable != NONE:
        words.append('nullable' if field.nullable == field.versions
                     else 'nullable ' + range_text(field.nullable, message.versions))
    if field.default == 'null' and field.type != 'records':
        words.append('default null')
    elif field.default not in (None, 0, 'null'):
        words.append('default %s' % ('true' if field.type == 'bool' else field.default))
    if field.tag is not None:
        words.append('tag %d' % field.tag)
        if field.tagged != field.versions:
            words[-1] += ' in ' + range_text(field.tagged, message.versions)
    text = ', '.join(words)
    if field.comment:
        text = text + ': ' + field.comment if text else field.comment
    return text.replace('*/', '* /')


def wrapped(text, indent):
    """A C comment of at most 100 columns."""
    if not text:
        return []
    if len(indent) + len(text) + 6 <= 100:
        return ['%s/* %s */' % (indent, text)]
    lines, line = [], indent + '/*'
    for word in text.split():
        if len(line) + 1 + len(word) > 96:
            lines.append(line)
            line = indent + '  '
        line += ' ' + word
    return lines + [line + ' */']


def struct_text(struct, message):
    out = wrapped(struct.comment, '') + ['struct %s {' % struct.c_name]
    for field in struct.fields:
        first, *rest = ['    ' + line for line in member_lines(field)]
        comment = remarks(field, struct, message)
        if comment and len(first) + len(comment) + 7 <= 100:
            first += ' /* %s */' % comment
        else:
            out += wrapped(comment, '    ')
        out += [first] + rest
    if not struct.fields:
        out.append('    char no_fields; /* C wants a member */')
    return out + ['};', 'extern const struct struct_table %s_table;' % struct.c_name, '']


def api_declarations(schema):
    apis = sorted(schema.apis, key=lambda api: api.key)
    out = ['enum api_key {']
    out += ['    API_%s = %d,' % (upper(api.name), api.key) for api in apis]
    return out + [
        '};', '', '/* By rising key. */', 'enum { API_SCHEMA_COUNT = %d };' % len(apis),
        'extern const struct api_schema api_schemas[API_SCHEMA_COUNT];',
        '/* NULL when the key is not in the schema. */',
        'const struct api_schema *api_schema_find(int16_t key);', '']


def header(schema, guard):
    out = ['/* Generated by tools/generate.py. How members look is told in protocol/codec.h. */',
           '#ifndef ' + guard, '#define ' + guard, '',
           '#include "protocol/codec.h"', '']
    if schema.apis:
        out += api_declarations(schema)
    out += ['/* Every message of the schema, for tests. */',
            'enum { MESSAGE_COUNT = %d };' % len(schema.messages),
            'extern const struct message *const all_messages[MESSAGE_COUNT];', '']
    for message in schema.messages:
        versions = 'versions %d-%d' % message.versions
        if message.flexible != NONE:
            versions += ', flexible from %d' % message.flexible[0]
        title = '---- %s: %s ----' % (message.name, versions)
        out += ['/* %s */' % title, '']
        if message.comment:
            out += wrapped(message.comment, '') + ['']
        for struct in message.structs:
            out += struct_text(struct, message)
        out[-1] = 'extern const struct message %s_message;' % message.c_name
        out.append('')
    return '\n'.join(out + ['#endif', ''])


def versions_c(versions):
    return '{ %d, %d }' % versions


def field_table_line(field, struct):
    kind = 'STRUCT' if field.struct else SCALARS[field.type][1]
    name = 'struct ' + struct.c_name
    parts = ['.name = "%s"' % field.name, '.type = FIELD_' + kind,
             '.offset = offsetof(%s, %s)' % (name, field.member),
             '.versions = ' + versions_c(field.versions),
             '.nullable = ' + versions_c(field.nullable), '.tagged = ' + versions_c(field.tagged)]
    if field.array:
        parts += ['.array = true', '.count_offset = offsetof(%s, %s_count)' % (name, field.member)]
    if field.struct:
        parts.append('.child = &%s_table' % field.struct.c_name)
    if field.tag is not None:
        parts.append('.tag = %d' % field.tag)
    if field.default == 'null':
        parts.append('.initial_null = true')
    elif field.default:
        value = 'INT64_MIN' if field.default == -2**63 else 'INT64_C(%d)' % field.default
        parts.append('.initial = ' + value)
    if field.never_flexible:
        parts.append('.never_flexible = true')
    return '    { %s },' % ', '.join(parts)


def struct_table(struct):
    out = []
    fields = tags = 'NULL'
    if struct.fields:
        fields = struct.c_name + '_fields'
        out.append('static const struct field %s[] = {' % fields)
        out += [field_table_line(field, struct) for field in struct.fields]
        out.append('};')
    tagged = sorted((field.tag, slot) for slot, field in enumerate(struct.fields)
                    if field.tag is not None)
    if tagged:
        tags = struct.c_name + '_tags'
        out.append('static const uint8_t %s[] = { %s };'
                   % (tags, ', '.join(str(slot) for _, slot in tagged)))
    out += ['const struct struct_table %s_table = {' % struct.c_name,
            '    .name = "%s", .fields = %s, .field_count = %d, .tags = %s, .tag_count = %d,'
            % (struct.name, fields, len(struct.fields), tags, len(tagged)),
            '    .size = sizeof(struct %s),' % struct.c_name, '};', '']
    return out


def api_definitions(schema):
    apis = sorted(schema.apis, key=lambda api: api.key)
    out = ['const struct api_schema api_schemas[API_SCHEMA_COUNT] = {']
    for api in apis:
        out.append('    { .name = "%s", .key = API_%s, .request = &%s_message,'
                   % (api.name, upper(api.name), api.request.c_name))
        out.append('        .response = &%s_message, .served = %s, .advertised = %s },'
                   % (api.response.c_name, versions_c(api.versions), versions_c(api.advertised)))
    out += ['};', '', 'const struct api_schema *api_schema_find(int16_t key)', '{',
            '    switch (key) {']
    out += ['    case %d: return &api_schemas[%d];' % (api.key, slot)
            for slot, api in enumerate(apis)]
    return out + ['    default: return NULL;', '    }', '}', '']


def source(schema, header_name):
    out = ['/* Generated by tools/generate.py. */', '#include "%s"' % header_name, '']
    for message in schema.messages:
        for struct in message.structs:
            out += struct_table(struct)
        out += ['const struct message %s_message = {' % message.c_name,
                '    .name = "%s", .body = &%s_table, .versions = %s, .flexible = %s,'
                % (message.name, message.body.c_name, versions_c(message.versions),
                   versions_c(message.flexible)), '};', '']
    out.append('const struct message *const all_messages[MESSAGE_COUNT] = {')
    out += ['    &%s_message,' % message.c_name for message in schema.messages] + ['};', '']
    if schema.apis:
        out += api_definitions(schema)
    return '\n'.join(out)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    path, header_path, source_path = sys.argv[1:]
    with open(path, encoding='utf-8') as file:
        text = file.read()
    try:
        schema = parse(text)
    except Refused as why:
        sys.exit('%s: %s' % (path, why))
    name = os.path.basename(header_path)
    guard = 'GENERATED_' + re.sub(r'\W', '_', name).upper()
    contents = ((header_path, header(schema, guard)), (source_path, source(schema, name)))
    for out_path, content in contents:
        with open(out_path, 'w', encoding='utf-8') as file:
            file.write(content)


if __name__ == '__main__':
    main()
