"""The scenarios. Each gets the servers and the number of workers, and returns the keys that it has measured."""

import random
import time

from harness.wait import until

from . import limits, plot
from .figures import between, median, ms, own_rates, per, percentile, rate
from .history import history
from .offer import Offer
from .report import cost_keys, lateness, pace_keys, slots_key, spread
from .statements import claim_ms
from .world import destination, event, new_system


def pace(servers, workers):
    """200 destinations with 30 events each, all there before the workers: is every slot used, and none too early?"""
    count, each = 200, 30
    with new_system(servers, "pace") as system:
        system.destinations(count)
        ids = [(f"pace-{n:07}", n % count) for n in range(count * each)]
        random.Random(1).shuffle(ids)
        system.kafka.produce_many(system.events_topic, [event(*each_id) for each_id in ids], [id for id, _ in ids])
        begin = system.sample()
        system.start_workers(workers)
        system.wait_sent(count * each, 90)
        time.sleep(0.5)
        used = system.sample() - begin
        rss = system.worker_rss_mib()
        gaps, posts, slots = system.sim.gaps(), system.posts(), system.slots()
        system.stop_workers()
        plot.pace(posts)
        measured = own_rates(posts.by_phone.values())
        found = {
            "sends": len(posts.times),
            "seconds": round(posts.times[-1] - posts.times[0], 3),
            "sends_per_s": round(measured, 1),
            "worker_rss_mib": round(rss, 1),
            "limit_pace_per_s": count,
            **pace_keys(gaps),
            **slots_key(posts),
            **lateness(posts, slots),
            **cost_keys(used, len(posts.times)),
            **limits.measure(servers, system, count, workers),
        }
    names = ("pace", "sql", "http", "kafka")
    return {**found, **limits.share(measured, {name: found[f"limit_{name}_per_s"] for name in names})}


def width(servers, workers):
    """5 000 destinations: 3 000 events a second through Kafka, then as many sends as the machine can make."""
    count = 5000
    with new_system(servers, "width") as system:
        system.destinations(count)
        system.settle()
        system.start_workers(workers)
        found = _sustained(system, count)
        found.update(_saturated(system, count))
        found["worker_rss_mib"] = round(system.worker_rss_mib(), 1)
        found.update(pace_keys(system.sim.gaps()))
        system.stop_workers()
        found.update(limits.measure(servers, system, count, workers))
    found["limit_drain_per_s"] = round(limits.drain(servers, count, workers))
    # What is saturated takes nothing in, so its limit in SQL is the one without intake.
    apart = {"sql": found["limit_drain_per_s"], "http": found["limit_http_per_s"], "kafka": found["limit_kafka_per_s"]}
    together = 1 / sum(1 / limit for limit in apart.values())
    found.update(limit_pace_per_s=count, limit_together_per_s=round(together))
    found.update(limits.share(found["saturated_sends_per_s"], {"pace": count, **apart}))
    return found


# A little more than the goal, so that the goal can be seen to be met.
_OFFERED, _OFFER_SECONDS, _EDGE = 3030, 30, 3


def _sustained(system, count):
    order = list(range(count))
    random.Random(2).shuffle(order)
    offer = Offer(system, order, _OFFERED, _OFFER_SECONDS, "width", linger_ms=50)
    offer.wait_until(_EDGE)
    begin = system.sample()
    offer.wait_until(_OFFER_SECONDS - _EDGE)
    end = system.sample()
    offer.finish()
    drained = time.time()
    system.wait_sent(offer.count, 120)
    drained = time.time() - drained
    time.sleep(1)
    posts, slots = system.posts(), system.slots()
    sends = between(posts.times, begin.at, end.at)
    return {
        "sends": sends,
        "seconds": round(end.at - begin.at, 3),
        "sends_per_s": round(rate(posts.times, begin.at, end.at), 1),
        "offered_per_s": _OFFERED,
        "seconds_behind": round(drained, 2),
        **lateness(posts, slots, begin.at, end.at),
        **spread("latency", [posts.at[id] - at for id, at in offer.acked.items() if begin.at <= posts.at[id] < end.at]),
        **cost_keys(end - begin, sends),
    }


_SATURATED_SECONDS, _SATURATED_LEAD = 5, 2


def _saturated(system, count):
    system.deliveries(count, 8, tag="saturated")
    sent = system.sim.stats()["requests"]
    system.wake()
    until(lambda: system.sim.stats()["requests"] > sent, 30, "the first POST of the backlog")
    time.sleep(_SATURATED_LEAD)
    begin = system.sample()
    time.sleep(_SATURATED_SECONDS)
    end = system.sample()
    used = end - begin
    times = [at for id, at in system.posts().at.items() if id.startswith("saturated")]
    sends = between(times, begin.at, end.at)
    if len(times) == 8 * count and max(times) < end.at:
        raise RuntimeError("the backlog was too short for the saturated phase")
    return {
        "saturated_sends_per_s": round(sends / used.seconds, 1),
        "saturated_worker_us_per_send": per(used.worker, sends, 1),
        "saturated_postgres_us_per_send": per(used.postgres, sends, 1),
        "saturated_sim_us_per_send": per(used.sim, sends, 1),
        "saturated_kafka_us_per_send": per(used.kafka, sends, 1),
        "saturated_cores_used": per(used.ours, used.seconds * 1e6),
        "saturated_others_cpu_percent": used.others_percent,
    }


_SMALL, _LARGE = 1000, 1_000_000


def backlog(servers, workers):
    """1 000 light destinations beside one with 1 000 or 1 000 000 pending: what does a claim cost, who waits longer?

    Two systems take turns, so that what else the machine does befalls both.
    """
    count, turns = 1000, 3
    with new_system(servers, "backlog-small") as small, new_system(servers, "backlog-large") as large:
        for system, pending in ((small, _SMALL), (large, _LARGE)):
            system.destinations(count + 1)
            system.deliveries(1, pending, first=count)
            system.wake(where=f"destination_id = '{destination(count)}'")
            system.start_workers(workers)
        seen = {small: [], large: []}
        for turn in range(turns):
            for system in (small, large) if turn % 2 == 0 else (large, small):
                seen[system].append(_light_load(system, count, turn))
        rss = max(small.worker_rss_mib(), large.worker_rss_mib())
        gaps = [pace_keys(system.sim.gaps()) for system in (small, large)]
        small.stop_workers()
        large.stop_workers()
    return {
        **_compare(seen[small], seen[large]),
        "worker_rss_mib": round(rss, 1),
        "min_gap_ms": min(gap["min_gap_ms"] for gap in gaps if gap["min_gap_ms"]),
        "early": sum(gap["early"] for gap in gaps),
    }


def _light_load(system, count, turn):
    """500 events a second, each destination well below its pace, for some seconds."""
    order = list(range(count))
    random.Random(turn).shuffle(order)
    offer = Offer(system, order, 500, 7, f"light-{turn}")
    offer.wait_until(1)
    begin = system.sample()
    offer.wait_until(7)
    end = system.sample()
    offer.finish()
    until(lambda: offer.acked.keys() <= system.posts().at.keys(), 60, "the light destinations' POSTs", interval=0.3)
    posts = system.posts()
    delays = [posts.at[id] - at for id, at in offer.acked.items() if at >= begin.at]
    return {"used": end - begin, "delays": delays, "sends": between(posts.times, begin.at, end.at)}


def _compare(small, large):
    claims = {"small": small, "large": large}
    cost = {name: median(claim_ms(turn["used"].statements) for turn in turns) for name, turns in claims.items()}
    delay = {
        (name, share): median(percentile(turn["delays"], share) for turn in turns)
        for name, turns in claims.items()
        for share in (0.5, 0.99)
    }
    sends = sum(turn["sends"] for turn in large)
    seconds = sum(turn["used"].seconds for turn in large)
    return {
        "sends": sends,
        "seconds": round(seconds, 3),
        "sends_per_s": round(sends / seconds, 1),
        "claim_ms_small": round(cost["small"], 4),
        "claim_ms_large": round(cost["large"], 4),
        "claim_ratio": round(cost["large"] / cost["small"], 3),
        "latency_p50_ms": ms(delay["large", 0.5]),
        "latency_p99_ms": ms(delay["large", 0.99]),
        "latency_p50_ms_small": ms(delay["small", 0.5]),
        "latency_p99_ms_small": ms(delay["small", 0.99]),
        "added_delay_p50_ms": ms(delay["large", 0.5] - delay["small", 0.5]),
        "added_delay_p99_ms": ms(delay["large", 0.99] - delay["small", 0.99]),
        "worker_us_per_send": per(sum(turn["used"].worker for turn in large), sends, 1),
        "postgres_us_per_send": per(sum(turn["used"].postgres for turn in large), sends, 1),
        "others_cpu_percent": round(median(turn["used"].others_percent for turn in small + large), 1),
    }


def latency(servers, workers):
    """100 events a second over 1 000 destinations whose slots are free: from Kafka's acknowledgement to the POST."""
    count, lead, seconds = 1000, 5, 30
    with new_system(servers, "latency") as system:
        system.destinations(count)
        system.settle()
        system.start_workers(workers)
        offer = Offer(system, list(range(count)), 100, lead + seconds, "latency")
        offer.wait_until(lead)
        begin = system.sample()
        offer.wait_until(lead + seconds)
        end = system.sample()
        offer.finish()
        system.wait_sent(offer.count, 30)
        time.sleep(0.5)
        rss, gaps, posts, slots = system.worker_rss_mib(), system.sim.gaps(), system.posts(), system.slots()
        system.stop_workers()
    sends = between(posts.times, begin.at, end.at)
    return {
        "sends": sends,
        "seconds": round(end.at - begin.at, 3),
        "sends_per_s": round(rate(posts.times, begin.at, end.at), 1),
        "worker_rss_mib": round(rss, 1),
        **pace_keys(gaps),
        **lateness(posts, slots, begin.at),
        **spread("latency", [posts.at[id] - at for id, at in offer.acked.items() if at >= begin.at]),
        **cost_keys(end - begin, sends),
    }


def idle(servers, workers):
    """Nothing to do: how much is asked and used all the same? Once with nothing there, once with a million waiting."""
    with new_system(servers, "idle") as system:
        system.destinations(1000)
        system.settle()
        system.start_workers(workers)
        found = _rest(system, "idle", workers)
        _let_wait(system)
        found.update(_rest(system, "waiting", workers))
        found.update(pace_keys(system.sim.gaps()), worker_rss_mib=round(system.worker_rss_mib(), 1), sends=0)
        system.stop_workers()
    return found


def _let_wait(system):
    """A million deliveries: half of the destinations are parked, the other half's are for later."""
    hour = "clock_timestamp() + interval '1 hour'"
    system.deliveries(1000, 1000, next_attempt_at=hour)
    system.wake(due_at=hour)
    system.query(
        f"update mms.pacing set parked_until = {hour}, parked_reason = 'bench', trouble = 1"
        " where hashtext(destination_id) %% 2 = 0"
    )
    system.settle()


def _rest(system, name, workers):
    time.sleep(2)
    begin = system.sample()
    time.sleep(15)
    used = system.sample() - begin
    return {
        f"{name}_queries_per_s": round(used.queries / used.seconds / workers, 2),
        f"{name}_transactions_per_s": round(used.transactions / used.seconds / workers, 2),
        f"{name}_cpu_percent": round(100 * used.worker / (used.seconds * 1e6) / workers, 2),
        f"{name}_postgres_cpu_percent": round(100 * used.postgres / (used.seconds * 1e6), 2),
        "others_cpu_percent": used.others_percent,
    }


ALL = {scenario.__name__: scenario for scenario in (pace, width, backlog, latency, idle, history)}

# Run only when they are asked for: minutes, and many gigabytes.
ON_REQUEST = {"history"}
