"""How PostgreSQL would run a subcommand's statement."""

from . import ROOT


def tables_read_whole(system, name, types, *parameters):
    """Tables that the statement worker/commands/sql/NAME.sql would read from end to end, planned for these parameters."""
    cursor = system.db.cursor()
    sql = (ROOT / "worker" / "commands" / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    cursor.execute(f"set plan_cache_mode = force_custom_plan; prepare asked ({types}) as {sql}")
    try:
        cursor.execute(f"explain (format json) execute asked ({', '.join(['%s'] * len(parameters))})", parameters)
        return {node["Relation Name"] for node in _nodes(cursor.fetchone()[0][0]["Plan"]) if node["Node Type"] == "Seq Scan"}
    finally:
        cursor.execute("deallocate asked")


def _nodes(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
