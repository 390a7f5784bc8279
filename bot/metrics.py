"""What is counted: figures for a Prometheus server, or for `roost status`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from bot.errors import UnusablePort

NAMESPACE: Final = "roost"
ADDRESS: Final = "127.0.0.1"
TURN_BUCKETS_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
ACCEPT_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


class Metrics:
    """The figures of one service, in a registry of its own: `metrics.events.labels("terminal", ...).inc()`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.events = self._counter("events_total", "Events received.", "channel", "kind", "state")
        self.replies = self._counter("replies_total", "Replies that reached their end.", "channel", "state")
        self.turns = self._counter("turns_total", "Turns that ended.", "state")
        self.violations = self._counter(
            "violations_total", "Things a container did that it must not do.", "kind"
        )
        self.dead_letters = self._counter("dead_letter_steps_total", "What became of dead letters.", "state")
        self.reports = self._counter("reports_total", "Problems that agents have reported.", "agent")
        self.agent_problem = Gauge(
            "agent_problem",
            "1 while an agent cannot work as it is configured, by its own report.",
            ["agent"],
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self.channel_trouble = Gauge(
            "channel_trouble",
            "1 while a channel adapter does not work, by its own word.",
            ["channel"],
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self.patterns_failed = self._counter(
            "patterns_failed_total",
            "Messages of which nobody could tell whether they fit a wiring's pattern.",
        )
        self.gateway_requests = self._counter(
            "gateway_requests_total", "Requests of containers to the outside.", "agent", "outcome"
        )
        self.gateway_refusals = self._counter(
            "gateway_refusals_total", "Requests that the gateway did not carry out.", "reason"
        )
        self.gateway_spend_usd = self._counter(
            "gateway_spend_usd_total", "What models have cost, by the gateway's own prices.", "agent"
        )
        self.usage_tokens = self._counter(
            "usage_tokens_total", "Tokens of models, as they were metered.", "agent", "kind"
        )
        self.usage_usd = self._counter("usage_usd_total", "What turns have cost, in US dollars.", "agent")
        self.budget_refusals = self._counter(
            "budget_refusals_total", "Messages and requests that a budget has refused.", "kind"
        )
        self.budget_kept = Gauge(
            "budget_kept",
            "Messages that wait until a budget has room for them.",
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self.gateway_tunnel_bytes = self._counter(
            "gateway_tunnel_bytes_total",
            "Bytes between containers and hosts of the allow-list.",
            "agent",
            "direction",
        )
        self.gateway_upstream_seconds = self._histogram(
            "gateway_upstream_seconds",
            "From a request to a model's server until its answer began.",
            TURN_BUCKETS_SECONDS,
        )
        self.backups = self._counter("backups_total", "Daily backups.", "state")
        self.wakes = self._counter("wakes_total", "Sessions woken.", "how")
        self.awake_sessions = Gauge(
            "awake_sessions", "Sessions with a live runner.", namespace=NAMESPACE, registry=self._registry
        )
        self.resting_memory_mb = Gauge(
            "resting_memory_mb",
            "What runners with nothing to do take up, in MiB.",
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self.letters = Gauge(
            "dead_letters",
            "Dead letters that wait for somebody to replay or drop them.",
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self.waiting_sessions = Gauge(
            "waiting_sessions",
            "Sessions that wait for a place for their runner.",
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self.turn_seconds = self._histogram("turn_seconds", "How long a turn took.", TURN_BUCKETS_SECONDS)
        self.first_delta_seconds = self._histogram(
            "first_delta_seconds",
            "From a message's acceptance until the first words of a live answer.",
            TURN_BUCKETS_SECONDS,
        )
        self.answer_seconds = self._histogram(
            "answer_seconds",
            "From a message's acceptance until its first answer was delivered.",
            TURN_BUCKETS_SECONDS,
        )
        self.accept_seconds = self._histogram(
            "accept_seconds", "From an event's arrival until it was durable.", ACCEPT_BUCKETS_SECONDS
        )

    def snapshot(self) -> dict[str, float]:
        """Every figure by its Prometheus name, labels in braces where it has any."""
        figures = {}
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                figures[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return figures

    @contextmanager
    def serve(self, port: int) -> Iterator[int]:
        """Answers GET /metrics on loopback for the length of the block and gives the port; 0 takes a free one.

        Raises UnusablePort.
        """
        try:
            server, thread = start_http_server(port, addr=ADDRESS, registry=self._registry)
        except OSError as exc:
            raise UnusablePort(
                f"Port {port} on {ADDRESS} cannot be used ({exc.strerror}): set [service] metrics_port to"
                " another, or leave it out."
            ) from exc
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=NAMESPACE, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, namespace=NAMESPACE, registry=self._registry, buckets=buckets)
