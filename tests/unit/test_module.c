/* What a plugin may declare: one thing wrong at a time, each refused with its place. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "processors/module.h"
#include "tests/test.h"

static int batch(mr_task *t, mr_batch *b)
{
    (void)t;
    (void)b;
    return MR_OK;
}
static int window(mr_task *t, const mr_window *w, mr_rows *rows)
{
    (void)t;
    (void)w;
    (void)rows;
    return MR_OK;
}

/* A complete module that a case damages. Room behind each struct: for the bytes of newer ones. */
static struct {
    mr_in_decl in;
    uint64_t in_more;
    mr_out_decl out;
    mr_win_decl win;
    mr_store_decl store, store2;
    mr_conf_decl conf;
    const mr_in_decl *ins[70];
    const mr_out_decl *outs[3];
    const mr_win_decl *wins[2];
    const mr_store_decl *stores[20];
    const mr_conf_decl *confs[2];
    mr_processor processor, second;
    const mr_processor *processors[3];
    const char *exts[2];
    mr_module module;
    uint64_t module_more;
} m;

static void make(void)
{
    memset(&m, 0, sizeof(m));
    m.in = (mr_in_decl){ .size = sizeof(mr_in_decl), .topic = "in" };
    m.out = (mr_out_decl){ .size = sizeof(mr_out_decl), .topic = "out" };
    m.win = (mr_win_decl){
        .size = sizeof(mr_win_decl), .kind = MR_WIN_HOP, .size_ms = 60, .step_ms = 10, .name = "w"
    };
    m.store = (mr_store_decl){
        .size = sizeof(mr_store_decl), .kind = MR_STORE_WINDOW_COUNT, .version = 1, .name = "s"
    };
    m.store2 = (mr_store_decl){ .size = sizeof(mr_store_decl), .kind = MR_STORE_KV, .name = "s2" };
    m.conf = (mr_conf_decl){ .size = sizeof(mr_conf_decl), .type = MR_INT, .key = "k" };
    m.ins[0] = &m.in;
    m.outs[0] = &m.out;
    m.wins[0] = &m.win;
    m.stores[0] = &m.store;
    m.stores[1] = &m.store2;
    m.confs[0] = &m.conf;
    m.processor = (mr_processor){ .size = sizeof(mr_processor),
        .name = "p",
        .inputs = m.ins,
        .outputs = m.outs,
        .stores = m.stores,
        .windows = m.wins,
        .conf = m.confs,
        .batch = batch,
        .window = window };
    m.second = m.processor;
    m.second.name = "q";
    m.processors[0] = &m.processor;
    m.processors[1] = &m.second;
    m.module = (mr_module){ .magic = MR_MAGIC,
        .size = sizeof(mr_module),
        .major = MR_ABI_MAJOR,
        .minor = MR_ABI_MINOR,
        .name = "m",
        .processors = m.processors };
}

static void refused(const char *expected)
{
    char error[512] = "";
    cr_assert_eq(module_check(&m.module, error, sizeof(error)), -EINVAL, "accepted: %s", expected);
    cr_assert(strstr(error, expected), "'%s' is not in '%s'", expected, error);
    make();
    cr_assert_eq(module_check(&m.module, error, sizeof(error)), 0, "%s", error);
}

TEST(module, versions_and_sizes)
{
    char error[512];
    make();
    cr_assert_eq(module_check(NULL, error, sizeof(error)), -EINVAL);
    m.module.magic++;
    refused("magic");
    m.module.major++;
    refused("built for version 1");
    m.module.needs_minor = MR_ABI_MINOR + 1;
    refused("needs a host of version");
    m.module.size = 8;
    refused("built with another millrace/processor.h");
    m.module.size = UINT32_MAX;
    refused("claims 4294967295 bytes");
    m.module.size += 8;
    m.module_more = 1;
    refused("newer than this host");
    m.module.size += 8; /* longer, but nothing of it is used: fine */
    cr_assert_eq(module_check(&m.module, error, sizeof(error)), 0, "%s", error);
    make();
    m.exts[0] = "mr.async/1";
    m.module.needs_ext = m.exts;
    refused("needs the extension 'mr.async/1'");
    m.module.processors = NULL;
    refused("has 0 processors");
    m.in.size += 8;
    m.in_more = 5;
    refused("processor 'p': input 0: it uses something newer");
}

TEST(module, processors_and_topics)
{
    make();
    m.processor.flags = 8;
    refused("flags 0x8");
    m.processor.name = "a b";
    refused("processor 0: its name");
    m.processor.name = NULL;
    refused("processor 0: its name");
    m.second.name = "p";
    refused("taken by processor 0");
    m.processor.batch = NULL;
    refused("`batch` is missing");
    m.processor.inputs = NULL;
    refused("declares no input");
    m.ins[0] = NULL;
    refused("declares no input");
    m.in.topic = "..";
    refused("input 0: its topic");
    m.in.role = 1;
    refused("role 1 (tables");
    m.in.flags = 1 << 9;
    refused("flags 0x200");
    m.in.store = 1;
    refused("reserved");
    m.ins[1] = &m.in;
    refused("'in' is declared twice");
    for (int i = 0; i < 66; i++)
        m.ins[i] = &m.in;
    refused("66 inputs, at most 64");
    m.out.flags = 1;
    refused("output 0: flags 0x1");
    m.out.partitions = -1;
    refused("-1 partitions");
    m.outs[1] = &m.out;
    refused("'out' is declared twice");
}

TEST(module, windows_stores_and_configuration)
{
    make();
    m.win.kind = 3;
    refused("window 0 ('w'): window kind 3 (session)");
    m.win.kind = 9;
    refused("window kind 9 is not");
    m.win.emit = 1;
    refused("early results (emit 1)");
    m.win.size_ms = 0;
    refused("out of range");
    m.win.top = 100001;
    refused("out of range");
    m.win.kind = MR_WIN_TUMBLE;
    refused("a tumbling window's step");
    m.win.name = "";
    refused("window 0 ('?'): its name");
    m.store.kind = 3;
    refused("store 0 ('s'): store kind 3");
    m.store.ttl_ms = 5;
    refused("ttl_ms");
    m.store.flags = 1;
    refused("flags 0x1");
    m.store.window = 1;
    refused("window 1 is not declared");
    m.store2.window = 1;
    refused("only a window store");
    m.processor.window = NULL;
    refused("needs the callback `window`");
    m.store2.name = "s";
    refused("store 1 ('s'): the name is taken by store 0");
    for (int i = 0; i < 18; i++)
        m.stores[i] = &m.store;
    refused("18 stores, at most 16");
    m.conf.type = 4;
    refused("configuration key 0 ('k'): type 4");
    m.conf.key = "a=b";
    refused("its key is missing or not");
    m.conf.flags = 2;
    refused("flags 0x2");
}

TEST(module, a_processor_by_its_name)
{
    make();
    cr_assert_eq(module_processor(&m.module, "q"), &m.second);
    cr_assert_null(module_processor(&m.module, "r"));
    cr_assert_null(module_processor(&m.module, NULL)); /* there are two */
    m.processors[1] = NULL;
    cr_assert_eq(module_processor(&m.module, NULL), &m.processor);
}
