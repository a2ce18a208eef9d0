"""Recipients who opted out: remembered for their sender, without a request, until the row is deleted."""

from harness.system import ACCOUNT

TO = "+15557770000"
SERVICE, OTHER_SERVICE = "MG" + "0" * 32, "MG" + "1" * 32


def opt_outs(system):
    return [
        (r["account_sid"], r["sender"], r["recipient"], r["destination_id"], r["event_id"])
        for r in system.query("select * from mms.opt_outs order by since")
    ]


def test_an_opt_out_is_remembered_for_its_sender(system):
    """
    The next event for the pair ends at once; another recipient, and another sender, are sent to as ever. A number, a number
    with a messaging service, a messaging service alone: each with a recipient of its own.
    """
    senders = {
        "+15550001111": {},
        SERVICE: {"messaging_service_sid": SERVICE},
        OTHER_SERVICE: {"from": None, "messaging_service_sid": OTHER_SERVICE},
    }
    recipients = {name: f"+1555777000{i}" for i, name in enumerate(senders)}
    for name, sender in senders.items():
        system.sim.fault("error", {"to": recipients[name]}, code=21610, times=1)
        system.destination(f"d {name}", to="{{payload.to}}", **sender)
        other = {**sender, "from": "+15550002222", "messaging_service_sid": None}
        system.destination(f"other {name}", to="{{payload.to}}", **other)
    system.worker()
    for name, to in recipients.items():
        system.produce({"event_id": f"e {name}", "destination_id": f"d {name}", "payload": {"to": to}})
    system.wait_states(failed=3)
    assert sorted(opt_outs(system)) == sorted((ACCOUNT, name, to, f"d {name}", f"e {name}") for name, to in recipients.items())
    for name, to in recipients.items():
        for i, (id, to) in enumerate([("d", to), ("d", "+15557770009"), ("other", to), ("d", to)]):
            system.produce({"event_id": f"f{i} {name}", "destination_id": f"{id} {name}", "payload": {"to": to}})
    system.wait_states(failed=9, accepted=6)
    results = {r["event_id"]: r for r in system.results(15)}
    for name, to in recipients.items():
        assert len(system.sim.posts(to=to)) == 2, "one that was refused, one from the other sender"
        for event in (f"f0 {name}", f"f3 {name}"):
            (attempt,) = system.attempts(event)
            assert (attempt["outcome"], attempt["reason"], attempt["http_status"]) == ("failed", "RECIPIENT_OPTED_OUT", None)
            assert attempt["started_at"] is None and "mms.opt_outs" in attempt["error_message"]
            assert attempt["advice"] and attempt["final"]
        (first,) = system.attempts(f"e {name}")
        assert (first["http_status"], first["error_code"], first["reason"]) == (400, 21610, "RECIPIENT_OPTED_OUT")
        result = results[f"f0 {name}"]
        assert (result["outcome"], result["reason"], result["final"]) == ("failed", "RECIPIENT_OPTED_OUT", True)
        assert "opted out" in result["error_message"]


def test_a_deleted_opt_out_is_forgotten(system):
    system.sim.fault("error", {"to": TO}, code=21610, times=1)
    system.destination("d", to=TO)
    system.worker()
    system.produce(system.event("e1", "d"), system.event("e2", "d"))
    system.wait_states(failed=2)
    system.query("delete from mms.opt_outs where recipient = %s", TO)
    system.produce(system.event("e3", "d"))
    system.wait_states(failed=2, accepted=1)
    assert opt_outs(system) == []


def test_an_opt_out_uses_no_slot(system):
    """A hundred events for who has opted out don't delay the one behind them."""
    system.query("insert into mms.opt_outs values (%s, '+15550001111', %s, 'd', 'e')", ACCOUNT, TO)
    system.destination("d", to="{{payload.to}}")
    events = [{"event_id": f"e{i}", "destination_id": "d", "payload": {"to": TO}} for i in range(100)]
    events.append({"event_id": "last", "destination_id": "d", "payload": {"to": "+15557770001"}})
    system.produce(*events)
    system.worker()
    system.wait_states(failed=100, accepted=1, timeout=60)
    assert len(system.sim.posts()) == 1


def test_two_destinations_of_one_sender_meet_it_at_once(system):
    """Both insert the row; neither fails for it."""
    system.sim.fault("error", {}, code=21610)
    for i in range(20):
        system.destination(f"d{i}", to=TO)
    system.produce_many([system.event(f"e{i}", f"d{i}") for i in range(20)])
    system.worker()
    system.worker()
    system.wait_states(failed=20)
    assert len(opt_outs(system)) == 1
