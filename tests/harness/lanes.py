"""Which tests run beside which. Most of them wait (for time limits, pauses, leases), so that a machine has room for several.

Each lane is a pytest of its own, with servers of its own. What needs the machine for itself, or measures, is in the first,
where one such test runs at a time; the others have about as much time in all.
"""

FIRST = "first"  # every file that is not named below

_OTHERS = {
    "second": """
        callback_receiver command_send command_top kafka_tls parking reconcile secrets sms_fallback statuses story twilio_tls
        verdicts
        """,
    "third": """
        command_check command_destination command_event command_replay database failing logs metrics opt_outs
        outages outcomes parameters settings soak
        """,
}

LANE_OF = {f"test_{name}": lane for lane, names in _OTHERS.items() for name in names.split()}
LANES = [FIRST, *_OTHERS]
