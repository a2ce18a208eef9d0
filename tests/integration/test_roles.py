"""The roles of schemas/postgres/roles.sql: what each can't do, that no right is there for nothing, and how they come to be."""

import contextlib
import subprocess

import psycopg2
import pytest

from harness import BIN, BUILD, ROOT
from harness.postgres import Postgres
from harness.process import clean_env
from harness.system import TOKEN
from harness.wait import until

WORKERS_SQL = ROOT / "worker" / "sql"
COMMANDS_SQL = ROOT / "worker" / "commands" / "sql"
# Statements of OPERATING.md.
BY_HAND = [
    "update mms.deliveries set state = 'failed', finished_at = now() where destination_id = 'd' and state = 'pending'",
    "update mms.deliveries set state = 'accepted' where event_id = 'e' and state = 'unknown' and lookup_at = 'infinity'",
    "delete from mms.destinations where id = 'd'",
    "update mms.destinations set name = name where id = 'd'",
    "delete from mms.opt_outs where recipient = '+1' and sender = '+2'",
]
ROLES = ("mms_worker", "mms_reader", "mms_operator")

FORBIDDEN = {
    "worker": [
        "update mms.destinations set disabled_at = now()",
        "insert into mms.destinations (id) values ('x')",
        "delete from mms.destinations",
        "update mms.deliveries set event = '{}'",
        "update mms.deliveries set event_id = 'x'",
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset,"
        " next_attempt_at, state) values ('d', 'x', '{}', 't', 0, 0, now(), 'accepted')",
        "delete from mms.deliveries",
        "delete from mms.attempts",
        "update mms.attempts set slot_at = null",
        "delete from mms.rejected_events",
        "delete from mms.opt_outs",
        "delete from mms.pacing",
        "delete from mms.paced",
        "insert into mms.schema_migrations (version, name) values (99, 'x')",
        "truncate mms.attempts",
        "drop table mms.attempts",
        "create table mms.own (n int)",
        "alter table mms.destinations disable trigger all",
        "create or replace function mms.era() returns integer language sql as 'select 1'",
    ],
    "analyst": [
        "select config from mms.destinations",
        "select * from mms.destinations",
        "select d from mms.destinations d",
        "select to_jsonb(d) from mms.destinations d",
        "select count(*) from mms.destinations d where d.config ->> 'auth' like 'a%'",
        "select id from mms.destinations order by config",
        "copy mms.destinations to stdout",
        "copy (table mms.destinations) to stdout",
        "select id from mms.destinations for update",
        "update mms.destinations set name = config::text",
        "create trigger t before update on mms.destinations for each row execute function mms.destination_touched()",
        "create view mms.own as select 1",
        "insert into mms.opt_outs values ('a', 's', 'r', 'd', 'e')",
        "update mms.deliveries set state = 'failed'",
        "delete from mms.attempts",
        "select pg_read_file('/etc/hostname')",
    ],
    "operator": [
        "update mms.attempts set outcome = 'accepted'",
        "insert into mms.attempts (destination_id, delivery_id, attempt, result_id, outcome, final, finished_at, worker)"
        " values ('d', 1, 9, gen_random_uuid(), 'accepted', true, now(), 'w')",
        "update mms.deliveries set event = '{}'",
        "update mms.pacing set next_slot_at = '-infinity'",
        "insert into mms.schema_migrations (version, name) values (99, 'x')",
        "truncate mms.attempts",
        "drop table mms.attempts",
        "alter table mms.destinations disable trigger all",
    ],
}


def some_history(system):
    """Something in every table."""
    system.destination("d")
    system.destination("wrong", to="{{nobody}}")
    worker = system.worker().wait_ready()
    system.produce(system.event("e", "d"), system.event("w", "wrong"), system.event("x", "nowhere"))
    system.wait_states(accepted=1, failed=1)
    system.results(3)
    return worker


@pytest.mark.timeout(60)
def test_what_nobody_can_do(system):
    """Each statement is refused for want of a right, and the rows are as they were."""
    some_history(system).stop()
    for login, statements in FORBIDDEN.items():
        with system.session(login) as cursor:
            for statement in statements:
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    if statement.startswith("copy"):
                        cursor.copy_expert(statement, open("/dev/null", "w"))
                    else:
                        cursor.execute(statement)
                    pytest.fail(f"{login} may: {statement}")


@pytest.mark.timeout(60)
def test_analysts_see_everything_but_credentials(system):
    """Whatever they may read, the tables' statistics included, is read; the token is nowhere in it."""
    some_history(system).stop()
    system.query("analyze mms.destinations")
    with system.session("analyst") as cursor:
        cursor.execute(
            "select format('%I.%I', n.nspname, c.relname), (select string_agg(quote_ident(a.attname), ',')"
            "          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
            "           and has_column_privilege(c.oid, a.attnum, 'select'))"
            "  from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'v', 'm') and (n.nspname = 'mms' or c.relname like 'pg_stat%')"
            "   and has_any_column_privilege(c.oid, 'select')"
        )
        readable = dict(cursor.fetchall())
        assert len([name for name in readable if name.startswith("mms.")]) >= 12
        assert readable["mms.destinations"] == "id,name,type,disabled_at,created_at,updated_at"
        for name, columns in readable.items():
            cursor.execute(f"select t::text from (select {columns} from {name}) t")
            rows = [row for (row,) in cursor.fetchall()]
            assert rows or not name.startswith("mms.") or name in ("mms.opt_outs", "mms.message_statuses"), name
            assert not [row for row in rows if TOKEN in row], name


@pytest.mark.timeout(60)
def test_every_table_has_a_decision(system):
    """A new table or view stands in roles.sql, be it for one role; a function that writes for others says where it looks."""
    nobodys = system.query(
        "select c.relname from pg_class c where c.relnamespace = 'mms'::regnamespace and c.relkind in ('r', 'v', 'm', 'p')"
        "   and not exists (select 1 from unnest(%s) r where has_any_column_privilege(r, c.oid, 'select'))",
        list(ROLES),
    )
    assert nobodys == []
    public = "select c.relname from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'mms'::regnamespace and a.grantee = 0"
    assert system.query(public) == []
    loose = (
        "select p.proname from pg_proc p where p.pronamespace = 'mms'::regnamespace and p.prosecdef"
        "   and (not coalesce(array_to_string(p.proconfig, ' '), '') like '%%search_path=pg_catalog, pg_temp%%'"
        "        or has_function_privilege('public', p.oid, 'execute'))"
    )
    assert system.query(loose) == []


def needed_for(system, role, statements):
    """Rights of a role without which all of these statements would still be allowed."""
    rights = system.query(
        "select c.relname as name, a.privilege_type as right, null as column"
        "  from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'mms'::regnamespace and a.grantee = %s::regrole"
        " union all select c.relname, a.privilege_type, t.attname"
        "  from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a"
        " where c.relnamespace = 'mms'::regnamespace and a.grantee = %s::regrole order by 1, 2, 3",
        role, role,
    )
    surplus = []
    with contextlib.closing(system.postgres.connect(system.database)) as db, db.cursor() as cursor:
        cursor.execute("select set_config('mms.claiming', '{}', false)")
        calls = []
        for number, text in enumerate(statements):
            cursor.execute(f"prepare s{number} as {text}")
            cursor.execute("select cardinality(parameter_types) from pg_prepared_statements where name = %s", [f"s{number}"])
            nulls = ", ".join(["null"] * cursor.fetchone()[0])
            calls.append((text, f"explain execute s{number}" + (f"({nulls})" if nulls else "")))

        def refused(name=None):
            """The first statement that isn't allowed."""
            for text, call in calls:
                if name is None or f"mms.{name}" in text:
                    cursor.execute("savepoint s")
                    try:
                        cursor.execute(call)
                    except psycopg2.errors.InsufficientPrivilege:
                        return text
                    finally:
                        cursor.execute("rollback to s")
            return None

        def attempt(revoke, name):
            cursor.execute("begin")
            try:
                cursor.execute(revoke)
                cursor.execute(f"set local role {role}")
                return refused(name)
            finally:
                cursor.execute("rollback")

        assert attempt("select 1", None) is None
        for right in rights:
            column = f" ({right['column']})" if right["column"] else ""
            if right["right"] == "SELECT" and role == "mms_operator":
                continue  # who operates may look
            if attempt(f"revoke {right['right']}{quoted(column)} on mms.{right['name']} from {role}", right["name"]) is None:
                surplus.append(f"{right['right']}{column} on {right['name']}")
    return len(rights), surplus


def quoted(column):
    return column.replace("(offset)", '("offset")')


def texts(*paths):
    """Statements from files; those about the session need no right."""
    found = [path.read_text() for path in paths]
    return [text for text in found if any(line.startswith(("select", "insert", "update", "delete", "with")) for line in text.splitlines())]


@pytest.mark.parametrize("role", ["mms_worker", "mms_operator"])
@pytest.mark.timeout(120)
def test_no_right_is_there_for_nothing(system, role):
    """Each right is taken away in turn, and some statement is refused then; with all of them none is."""
    if role == "mms_worker":
        statements = texts(*WORKERS_SQL.glob("*.sql"), *COMMANDS_SQL.glob("check_*.sql"))
    else:
        names = ("destination_*", "replay*", "prune_*")
        own = [path for name in names for path in COMMANDS_SQL.glob(f"{name}.sql")]
        statements = texts(*own, WORKERS_SQL / "intake_lock.sql", WORKERS_SQL / "intake_wake.sql") + BY_HAND
    count, surplus = needed_for(system, role, statements)
    assert count > 30 and surplus == []


@pytest.mark.timeout(60)
def test_migrate_keeps_rights_as_they_are_written(system):
    """What is missing comes, what is too much goes; other roles' rights are their own."""
    acls = "select relname, relacl::text, (select string_agg(attacl::text, ' ' order by attnum) from pg_attribute where attrelid = c.oid) from pg_class c where relnamespace = 'mms'::regnamespace order by 1"
    before = system.query(acls)
    system.migrate()
    assert system.query(acls) == before
    system.query("grant select on mms.destinations to mms_reader; grant delete on mms.attempts to mms_worker")
    system.query("revoke select on mms.pacing from mms_worker; revoke update (state) on mms.deliveries from mms_worker")
    system.query("revoke usage on schema mms from mms_reader; grant update (config) on mms.destinations to mms_worker")
    assert system.query(acls) != before
    system.migrate()

    def as_sets(rows):
        return [{key: sorted((value or "").strip("{}").replace("} {", ",").split(",")) for key, value in row.items()} for row in rows]

    assert as_sets(system.query(acls)) == as_sets(before)
    assert system.value("select has_schema_privilege('mms_reader', 'mms', 'usage')")


@pytest.mark.timeout(60)
def test_migrate_takes_back_what_a_role_could_pass_on(system):
    """The right to grant a right, with what was granted by it; rights on functions, and on a table's sequence."""
    rights = (
        "select has_table_privilege('mms_reader', 'mms.deliveries', 'select') as reads,"
        " has_table_privilege('mms_reader', 'mms.deliveries', 'select with grant option') as grants,"
        " has_function_privilege('mms_reader', 'mms.pacing_inserted()', 'execute') as calls,"
        " has_sequence_privilege('mms_reader', 'mms.deliveries_id_seq', 'update') as counts,"
        " has_table_privilege('mms_operator', 'mms.schema_migrations', 'select') as passed"
    )
    system.query("grant select on mms.deliveries to mms_reader with grant option")
    system.query("grant execute on function mms.pacing_inserted() to mms_reader; grant all on sequence mms.deliveries_id_seq to mms_reader")
    system.query("grant delete on mms.attempts to mms_reader with grant option")
    system.query("set role mms_reader; grant delete on mms.attempts to mms_worker; reset role")
    assert set(system.query(rights)[0].values()) == {True}
    system.migrate()
    assert system.query(rights) == [{"reads": True, "grants": False, "calls": False, "counts": False, "passed": True}]
    for role in ("mms_reader", "mms_worker"):
        assert not system.value("select has_table_privilege(%s, 'mms.attempts', 'delete')", role)
    acls = "select relname, relacl::text from pg_class where relnamespace = 'mms'::regnamespace order by 1"
    before = system.query(acls)
    system.migrate()
    assert system.query(acls) == before


@pytest.mark.timeout(60)
def test_a_dry_run_needs_the_rights_of_the_real_one(system, tmp_path):
    """Who may not do it gets the same refusal from both, whatever there is to be done; who may is content with a standby."""
    key = tmp_path / "key"
    key.write_text(system.command("secret", "key").out)
    calls = [
        ["prune", "--older-than", "90d"], ["replay", "--event", "e"], ["replay", "--destination", "d", "--since", "1h"],
        ["replay", "--destination", "d", "--since", "1h", "--outcome", "rejected"], ["secret", "rotate"],
    ]  # fmt: skip
    for words in calls:
        real, dry = (system.command(*words, *more, login="analyst", secret_key_files=key) for more in ([], ["--dry-run"]))
        assert (real.status, dry.status, dry.out) == (1, 1, ""), words
        assert real.err == dry.err and "PostgreSQL: permission denied for table " in dry.err and dry.err.count("\n") == 1
    system.query(f"alter database {system.database} set default_transaction_read_only = on")
    for words in calls:
        dry = system.command(*words, "--dry-run", secret_key_files=key)
        assert "permission denied" not in dry.err and "read-only" not in dry.err and (dry.status == 0 or "--event" in words), dry.err


@pytest.mark.timeout(60)
def test_migrate_names_what_it_cannot_take_back(tmp_path):
    """Rights from somebody else than the owner, and those of a membership: a line each, whose remedy mends it; then silence."""
    with Postgres(BUILD / "test" / "roles" / "postgres") as server:
        server.psql("postgres", "create role plain login createrole")
        server.psql("postgres", "create database plain owner plain")

        def migrated():
            (out, err), status = (process := migrate(server.url("plain", "plain"))).communicate(timeout=30), process.returncode
            assert status == 0 and "schema is at version" in out
            return [line.removeprefix("mms-worker migrate: ") for line in err.splitlines()]

        def acls():
            return server.psql("plain", "select relname, relacl from pg_class where relnamespace = 'mms'::regnamespace order by 1")

        assert migrated() == []
        server.psql("plain", 'create role "An Uncle"; grant usage on schema mms to "An Uncle";'
                    ' grant select, delete on mms.deliveries to "An Uncle" with grant option;'
                    ' grant select (config) on mms.destinations to "An Uncle" with grant option')  # fmt: skip
        server.psql("plain", 'set role "An Uncle"; grant select, delete on mms.deliveries to mms_reader;'
                    " grant select (config) on mms.destinations to mms_reader")  # fmt: skip
        server.psql("plain", "grant mms_worker to mms_reader; grant pg_monitor to mms_operator")
        before, said = acls(), migrated()
        remedies = [line.split("'")[-2] for line in said]
        assert sorted(line.split(": ")[0] for line in said) == [
            "mms_operator is a member of pg_monitor and may what that may",
            "mms_reader has DELETE on table mms.deliveries from \"An Uncle\", which the owner can't take back",
            "mms_reader has SELECT (config) on table mms.destinations from \"An Uncle\", which the owner can't take back",
            "mms_reader is a member of mms_worker and may what that may",
        ]
        assert (acls(), migrated()) == (before, said)
        for remedy in remedies:
            server.psql("plain", remedy)
        assert migrated() == []
        reads = "select has_column_privilege('mms_reader', 'mms.destinations', 'config', 'select'),"
        assert server.psql("plain", reads + " has_table_privilege('mms_reader', 'mms.deliveries', 'select')") == "f|t\n"


def migrate(url):
    return subprocess.Popen([BIN / "mms-worker", "migrate"], env=clean_env(MMS_DATABASE_URL=url), stdout=-1, stderr=-1, text=True)


@pytest.mark.timeout(90)
def test_who_migrates_may_not_make_roles(tmp_path):
    """
    The schema comes all the same, and a line says what an administrator is to run; after that migrate grants. Several
    databases at once, where nobody has made the roles yet, get in nobody's way.
    """
    with Postgres(BUILD / "test" / "roles" / "postgres") as server:
        server.psql("postgres", "create role plain login")
        server.psql("postgres", "create database plain owner plain")
        (out, err), status = (process := migrate(server.url("plain", "plain"))).communicate(timeout=30), process.returncode
        assert status == 0 and "schema is at version" in out
        (line,) = err.splitlines()
        assert "there is no role mms_worker, mms_reader, mms_operator" in line
        remedy = line.split("'")[1]
        for n in range(4):
            server.create_database(f"many{n}")
        many = [migrate(server.url(f"many{n}")) for n in range(4)]
        assert [(process.communicate(timeout=60)[1], process.returncode) for process in many] == [("", 0)] * 4
        for n in range(4):
            server.drop_database(f"many{n}")
        for role in ROLES:
            server.psql("plain", f"drop role {role}")
        server.psql("postgres", remedy)
        (out, err), status = (process := migrate(server.url("plain", "plain"))).communicate(timeout=30), process.returncode
        assert (status, err) == (0, "")
        assert server.psql("plain", "select has_table_privilege('mms_reader', 'mms.attempt_history', 'select')") == "t\n"


@pytest.mark.timeout(60)
def test_check_warns_of_a_superuser(system):
    """Whoever has more rights than a worker needs is told; a worker's login is green."""
    assert "superuser" not in system.command("check").out
    found = system.command("check", "--json", login="owner").rows()
    (warning,) = [row for row in found if "superuser" in row["detail"]]
    assert warning["result"] == "warning" and "mms_worker" in warning["advice"]
