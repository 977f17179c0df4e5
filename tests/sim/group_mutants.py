#!/usr/bin/env python3
"""group_mutants.py - do the simulations of groups, transactions and share groups notice when the broker is wrong?

    tests/sim/group_mutants.py [--seconds=N] [--list | --texts] [NAME...]

Copies the tree to a temporary directory, builds the programs there, and makes one change after the
other to the broker (all, or those named): each takes away one rule. The programs run on it (only
sim_shares if it is about share groups), each for N seconds (default 20) or until the oracle, a CHECK
or a signal ends it: caught.
First nothing is changed, and all must be clean. A change whose text is not in the source any more
is an error: bring it up to date (--texts, which the check runs, only looks for that). Exit 1 when
one survived.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = (("sim_groups", "15000"), ("sim_transactions", "20000"), ("sim_shares", "12000"))
CLASSIC = "broker/classic_group.c"
CONSUMER = "broker/consumer_group.c"
OFFSETS = "broker/handle_group_offsets.c"
GROUPS = "broker/handle_groups.c"
TXN = "broker/transaction.c"
TXN_OWNER = "broker/transaction_coordinator.c"
TXN_OFFSETS = "broker/handle_transaction_offsets.c"
DELETION = "broker/handle_delete_groups.c"
MIXED = "broker/consumer_group_classic.c"
SHARED = "broker/share_partition.c"
SHARES = "broker/shares.c"
SHARE_FETCH = "broker/handle_share_fetch.c"
SHARE_ACK = "broker/handle_share_acknowledge.c"
COORDINATOR = "broker/coordinator.c"
EXPIRY = "broker/expiry.c"

# name: (file, what is there, what is there instead); the first place of the text counts.
MUTANTS = {
    "commit_of_any_generation": (CLASSIC, """    if (client->epoch != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
""", ""),
    "heartbeat_of_any_generation": (CLASSIC, """    if (generation != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    member_heard""", "    member_heard"),
    "sync_of_any_generation": (CLASSIC, """    if (sync->generation != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
""", ""),
    "static_member_not_fenced": (CLASSIC, """        if (owner != member)
            return KAFKA_ERROR_FENCED_INSTANCE_ID;
""", """        if (owner != member) {
            *ret_member = owner;
            return KAFKA_ERROR_NONE;
        }
"""),
    "session_never_ends": (CLASSIC, """    member_remove(group, member, now);
}

static void classic_expire(""", """    member_heard(member, now);
}

static void classic_expire("""),
    "session_ends_too_early": (CLASSIC, "now + member->session_timeout_ns", "now + member->session_timeout_ns / 4"),
    "rebalance_never_ends": (CLASSIC, """    } else if (group->state == CLASSIC_PREPARING) {
        join_complete(group, now);
""", """    } else if (group->state == CLASSIC_PREPARING) {
        group_deadline_set(&group->base, &group->timer, now + rebalance_timeout(group));
"""),
    "generation_does_not_grow": (CLASSIC, """    group->generation++;
    group->state = CLASSIC_COMPLETING;""", "    group->state = CLASSIC_COMPLETING;"),
    "generation_not_kept": (CLASSIC, """    int16_t error = group_persist(&group->base);
    if (error) {
        joins_refuse(""", """    int16_t error = KAFKA_ERROR_NONE;
    if (error) {
        joins_refuse("""),
    "assignment_not_kept": (CLASSIC, """    group->state = CLASSIC_STABLE;
    int16_t error = group_persist(&group->base);""", """    group->state = CLASSIC_STABLE;
    int16_t error = KAFKA_ERROR_NONE;"""),
    "subscription_of_the_first_join": (CLASSIC, """    protocols_set(member, join);
    timeouts_set(member, join);
    member_heard""", """    timeouts_set(member, join);
    member_heard"""),
    "group_comes_back_without_sessions": (CLASSIC, """    if (!cursor->bad)
        member_heard(member, now);
""", ""),
    "join_told_before_it_is_durable": (GROUPS, """    if (!from->error)
        request_depends(request, group->lsn);
""", ""),
    "commit_told_before_it_is_durable": (OFFSETS, """    if (status == 0)
        return;
    request->cancel = NULL;
""", """    if (status == 0) {
        request->cancel = NULL;
        coordinator_forget(coordinator, request);
        request_finish(request);
        return;
    }
    request->cancel = NULL;
"""),
    "offset_told_before_it_is_durable": (
        OFFSETS, "    request_depends(request, lsn); /* also that it is not there any more */\n", ""),
    "transaction_of_any_member": (TXN_OFFSETS, """    return generation_code(group->operations->check_commit(
        group, &addition->client, clock_monotonic_ns(request->broker->doors->clock)));
""", """    return KAFKA_ERROR_NONE;
"""),
    "transaction_of_any_epoch": (TXN, """    } else if (now->epoch != event->epoch) {
        refuse(effects, KAFKA_ERROR_PRODUCER_FENCED);
    } else if (event->kind == TRANSACTION_VERIFY)""", "    } else if (event->kind == TRANSACTION_VERIFY)"),
    "init_raises_no_epoch": (TXN, "        next->epoch = (int16_t)(now->epoch + 1);\n", ""),
    "init_leaves_what_is_open": (TXN, """    if (now->state == TRANSACTION_ONGOING) {
        /* The epoch""", """    if (now->state == TRANSACTION_ONGOING && now_ms == 0) {
        /* The epoch"""),
    "end_of_a_zombie_is_a_retry": (TXN, " && now->last_epoch == event->epoch", ""),
    "aborted_offsets_are_committed": (TXN_OWNER, "    if (walk->committed && !later", "    if (!later"),
    "committed_offsets_are_dropped": (TXN_OWNER, "    if (walk->committed && !later", "    if (false && !later"),
    "offsets_of_a_transaction_go_back": (
        TXN_OWNER, "coordinator_offset_order(present, present_lsn) > lsn;", "present_lsn == 0;"),
    "a_marker_is_lost": (TXN_OWNER, "    for (size_t i = 0; i < transaction->part_count; i++) {\n"
                         "        struct log *log = part_log(coordinator",
                         "    for (size_t i = 1; i < transaction->part_count; i++) {\n"
                         "        struct log *log = part_log(coordinator"),
    "markers_of_the_wrong_kind": (TXN_OWNER, "effects->marker == TRANSACTION_COMMIT_MARKER,\n        TRANS",
                                  "true,\n        TRANS"),
    "transaction_is_forgotten": (TXN_OWNER, "follow(coordinator, one, left_ms(coordinator, &one->transaction.now));",
                                 "(void)one;"),
    "a_follower_session_never_ends": (
        CONSUMER, "        (void)consumer_group_take_out(member, now); /* nobody is told of it */\n", ""),
    "what_is_being_revoked_is_free": (
        CONSUMER, "                partition_set_find(&other->revoking, &partition->topic, partition->index)))",
        "                false))"),
    "partitions_of_others_are_free": (CONSUMER, "        if (other != member &&\n            (partition_set_find(",
                                      "        if (other == member &&\n            (partition_set_find("),
    "follower_of_any_epoch_commits": (CONSUMER, "    return item && client->epoch >= item->epoch ? KAFKA_ERROR_NONE",
                                      "    return item || !item ? KAFKA_ERROR_NONE"),
    "follower_is_not_kept": (CONSUMER, "    return group_persist(&group->base);", "    return KAFKA_ERROR_NONE;"),
    "epoch_does_not_grow": (CONSUMER, "    group->epoch++;\n", ""),
    "group_with_members_is_deleted": (DELETION, """    if (!group->operations->is_empty(group))
        return KAFKA_ERROR_NON_EMPTY_GROUP;
""", ""),
    "deletion_leaves_the_offsets": (
        COORDINATOR, "    coordinator_each_offset(coordinator, deletion.group, offset_delete, &deletion);\n",
        "    (void)offset_delete;\n    (void)deletion;\n"),
    "deletion_leaves_what_waits": (
        COORDINATOR, "    transaction_coordinator_drop_offsets(coordinator->broker->transactions, unit, "
        "deletion.group);\n", ""),
    "deletion_told_before_it_is_durable": (DELETION, """    if (status)
        request_finish(request);
    else
        request->state = commit;
}

void handle_delete_groups""", """    if (!status)
        commit_forget(commit);
    request_finish(request);
}

void handle_delete_groups"""),
    "offset_deletion_leaves_what_waits": (
        DELETION, """            transaction_coordinator_drop_offset(request->broker->transactions, &commit->unit,
                bytes_text(group->id), &topic->id, row->partition_index);
""", ""),
    "wanted_offset_is_deleted": (DELETION, "        } else if (wanted) {", "        } else if (wanted && !topic) {"),
    "time_takes_what_is_read": (EXPIRY, "        topic->subscribed = true;\n", "        (void)topic;\n"),
    "time_takes_what_a_transaction_waits_for": (
        EXPIRY, "        candidate->stays = true;\n", "        (void)candidate;\n"),
    "time_takes_a_group_with_members": (
        EXPIRY, "    return group->operations->is_empty(group) && group_next_deadline(group) == INT64_MAX;",
        "    return group != NULL;"),
    "time_takes_a_group_with_offsets": (EXPIRY, "    if (whole && !look->kept && ", "    if (whole && "),
    "time_takes_nothing": (EXPIRY, "    if (look->retention == GROUP_KEEPS_OFFSETS)\n", "    if (look)\n"),
    "time_takes_no_group": (EXPIRY, "    if (whole && !look->kept && ", "    if (whole && !look && "),
    "time_is_in_too_much_of_a_hurry": (
        EXPIRY, "offsets_retention_minutes * 60000;", "offsets_retention_minutes * 30000;"),
    "time_counts_from_the_commit": (EXPIRY, "look->retention == GROUP_OFFSETS_BY_STATE && ", "false && "),
    "an_offsets_own_time_does_not_count": (EXPIRY, "    if (offset->expire_ms)\n", "    if (offset->expire_ms < 0)\n"),
    "an_offsets_own_time_is_forgotten": (
        COORDINATOR, "expires ? (int64_t)le_get64(value.data + OFFSET_VALUE_SIZE) : 0", "0"),
    "how_long_a_group_is_empty_is_forgotten": (CLASSIC, "    group->base.state_since_ms = cursor_i64(&cursor);\n",
                                               "    (void)cursor_i64(&cursor);\n"),
    "a_group_is_empty_since_the_start": (
        CLASSIC, "    group->base.state_since_ms = cursor_i64(&cursor);\n",
        "    group->base.state_since_ms = cursor_i64(&cursor) + 15000;\n"),
    "time_takes_a_group_and_leaves_its_offsets": (
        EXPIRY, """    if (whole && !look->kept && !look->waited_for && is_deserted(look->group)) {
        coordinator_delete_group(coordinator, unit, look->group);
""", """    if (whole && is_deserted(look->group)) {
        (void)coordinator;
        unit_put(unit, STORE_GROUP, bytes_text(look->group->id), (struct bytes){ 0 });
"""),
    "what_is_over_is_hidden_at_times": (OFFSETS, """    if (!there)
        return true;
    uint8_t *copy""", """    if (!there || (offset.expire_ms && request->version & 1 &&
                   offset.expire_ms <= clock_wall_ms(request->broker->doors->clock)))
        return true;
    uint8_t *copy"""),
    "classic_member_is_not_called": (
        MIXED, "    if (member->epoch < group->epoch || member->state", "    if (member->state"),
    "classic_member_of_any_epoch": (MIXED, """    if (generation != member->epoch)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    consumer_member_heard""", "    consumer_member_heard"),
    "classic_member_gives_up_nothing": (
        MIXED, "    consumer_subscription_owned(subscription, group->effects->topics, &owned);\n",
        "    (void)consumer_subscription_owned;\n"),
    "upgrade_forgets_who_has_what": (
        MIXED, "    (void)consumer_assignment_read(from->assignment, group->effects->topics, "
        "&member->assigned);\n", "    (void)consumer_assignment_read;\n"),
    "upgrade_begins_at_epoch_one": (
        MIXED, "    group->epoch = group->assignment_epoch = classic->generation;\n",
        "    group->assignment_epoch = group->epoch;\n"),
    "downgrade_begins_at_generation_one": (
        MIXED, "    classic_group_adopted(classic, group->epoch, !group->replaced, now);",
        "    classic_group_adopted(classic, 1, !group->replaced, now);"),
    "downgrade_never_comes": (CONSUMER, "    if (is_to_settle(group))\n        group->effects",
                              "    if (is_to_settle(group) && !base)\n        group->effects"),
    "record_of_another_is_answered": (SHARED, "(range->state != SHARE_ACQUIRED || range->owner != owner)",
                                      "(range->state != SHARE_ACQUIRED || !owner)"),
    "record_of_nobody_is_answered": (
        SHARED, "            if (!gap && (range->state != SHARE_ACQUIRED || range->owner != owner))\n"
        "                return -EPERM;\n", "            (void)gap;\n            (void)owner;\n"),
    "lock_ends_too_early": (SHARED, ".deadline = now + limits->lock_ns };", ".deadline = now + limits->lock_ns / 4 };"),
    "renewed_for_nothing": (
        SHARED, "range->owner, now + limits->lock_ns);", "range->owner, now + limits->lock_ns / 8);"),
    "record_is_given_up_too_early": (SHARED, "    bool again = range->delivery < limits->delivery_max;",
                                     "    bool again = range->delivery + 1 < limits->delivery_max;"),
    "record_is_given_for_ever": (
        SHARED, "    bool again = range->delivery < limits->delivery_max;",
        "    bool again = true;\n    range->delivery -= range->delivery >= limits->delivery_max;"),
    "deliveries_are_not_counted": (SHARED, "    range->delivery++;\n    range_set(",
                                   "    range->delivery = 1;\n    range_set("),
    "released_is_done": (SHARED, "    case SHARE_RELEASE: range_free(partition, range, limits); break;\n", ""),
    "accepted_is_free": (SHARED, """    default:
        range_set(partition, range, SHARE_DONE, 0, 0);""", """    default:
        range_set(partition, range, SHARE_AVAILABLE, 0, 0);"""),
    "what_was_held_goes_with_its_holder": (
        SHARED, "        range_free(partition, range, limits);\n        any = true;",
        "        range_set(partition, range, SHARE_DONE, 0, 0);\n        any = true;"),
    "acceptance_told_before_it_is_durable": (
        SHARE_ACK, "    request_depends(request, storage_appended(request->broker->storage));\n", ""),
    "acceptance_is_not_kept": (SHARES, "    if (part->partition.changed && list_empty(&part->dirty))",
                               "    if (part->partition.changed && part->lsn == 0 && list_empty(&part->dirty))"),
    "start_told_before_it_is_kept": (SHARES, " && list_empty(&part->dirty)) {\n        *ret", ") {\n        *ret"),
}


def build(tree):
    command = ["ninja", "-C", str(tree / "build/mutants"), *(f"tests/sim/{name}" for name, _ in PROGRAMS)]
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode == 0 else done.stdout[-2000:]


def first_words(run):
    lines = [line for line in run.stderr.splitlines() if re.match(r"seed \d|.*check failed|.*runtime error", line)]
    return lines[-1][:150] if lines else f"exit {run.returncode}"


def hunt(tree, seconds, path=None):
    """What caught it, or None."""
    for name, steps in PROGRAMS:
        if path and ("share" in path) != (name == "sim_shares"):
            continue
        program = str(tree / "build/mutants/tests/sim" / name)
        try:
            run = subprocess.run([program, "1", "1000000", steps, f"--seconds={seconds}"],
                                 capture_output=True, text=True, timeout=seconds + 60)
        except subprocess.TimeoutExpired:
            return f"{name}: it never ends"
        if run.returncode != 0 and "NEVER HAPPENED" not in run.stdout:
            return f"{name}: {first_words(run)}"
        if run.returncode != 0:
            rows = [line.split("   ")[0].strip() for line in run.stdout.splitlines() if "NEVER HAPPENED" in line]
            return f"{name}: never happened: {', '.join(rows)}"
    return None


def texts_missing():
    missing = [name for name, (path, old, _) in MUTANTS.items() if old not in (ROOT / path).read_text()]
    for name in missing:
        print(f"{name}: its text is not in {MUTANTS[name][0]} any more")
    print(f"{len(MUTANTS) - len(missing)} of {len(MUTANTS)} mutants have a place")
    return missing


def main():
    if "--texts" in sys.argv:
        return 1 if texts_missing() else 0
    names = [word for word in sys.argv[1:] if not word.startswith("--")] or list(MUTANTS)
    seconds = 20
    for word in sys.argv[1:]:
        if word.startswith("--seconds="):
            seconds = int(word.split("=")[1])
    if "--list" in sys.argv:
        print("\n".join(MUTANTS))
        return 0
    caught = 0
    with tempfile.TemporaryDirectory(prefix="millrace-mutants-") as scratch:
        tree = pathlib.Path(scratch) / "tree"
        shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns("build", ".git"))
        environment = dict(os.environ, CC=os.environ.get("CC", "ccache gcc"), CCACHE_NOHASHDIR="1")
        subprocess.run(["meson", "setup", "build/mutants", "--buildtype=debugoptimized"], cwd=tree, check=True,
                       capture_output=True, env=environment)
        problem = build(tree) or hunt(tree, seconds)
        if problem:
            print(f"nothing is changed, and yet: {problem}")
            return 1
        for name in names:
            path, old, new = MUTANTS[name]
            before = (tree / path).read_text()
            if old not in before:
                print(f"{name:34} NOT THERE in {path}")
                continue
            (tree / path).write_text(before.replace(old, new, 1))
            problem = build(tree)
            how = None if problem else hunt(tree, seconds, path)
            (tree / path).write_text(before)
            caught += how is not None
            print(f"{name:34} {'caught   ' + how if how else problem or 'SURVIVED'}", flush=True)
    print(f"caught {caught} of {len(names)} mutants")
    return 0 if caught == len(names) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
