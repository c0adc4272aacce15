"""The doorbell: RQ wakes a worker, and carries nothing else. The only module that knows RQ.

No job holds a mail; the dispatch rows do. A ring may be lost, doubled or late without harm: the
worker rings for itself every few seconds. RQ's Retry is never used.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

from flask import current_app
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from portal.config import Config
from portal.logs import redacted

QUEUES = ("dispatch",)
DRAIN = "portal.delivery.drain"
#: A drain hands over to a fresh process after this long, so that a deploy is never waited for.
DRAIN_SECONDS = 300
JOB_TIMEOUT = DRAIN_SECONDS + 180
#: So many rings may wait at most, however many workers there are.
MOST_RINGS = 16
ALIVE_KEY = "sendwright:worker-alive"
ALIVE_SECONDS = 90

log = logging.getLogger(__name__)
#: Set in a work-horse when its worker was asked to stop: finish the message in hand, take no more.
stopping = threading.Event()


def connection(timeout: float = 2) -> Redis:
    """The Redis that REDIS_URL names. Raises RedisError where none is named."""
    config: Config = current_app.config["PORTAL"]
    if not config.REDIS_URL:
        raise RedisError("REDIS_URL is not set")
    return _client(config.REDIS_URL, timeout)


@cache  # kept open: pages that follow something ask every second
def _client(url: str, timeout: float) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=timeout, socket_timeout=timeout)


def ring() -> bool:
    """Wake a worker, after the commit that gave it something to do. False when Redis is away."""
    try:
        _ring(connection())
    except RedisError as problem:
        log.warning("The doorbell did not ring: %s", type(problem).__name__)
        return False
    return True


def ring_all() -> bool:
    """Wake all workers: for what is worth sharing out, such as a batch to freeze."""
    try:
        redis = connection()
        _ring(redis, Worker.count(queue=_queue(redis)))
    except RedisError as problem:
        log.warning("The doorbell did not ring: %s", type(problem).__name__)
        return False
    return True


def health() -> str:
    """ok, no_redis or no_worker: whether what waits is about to be taken up."""
    try:
        alive = connection(timeout=0.5).exists(ALIVE_KEY)
    except RedisError:
        return "no_redis"
    return "ok" if alive else "no_worker"


def rings() -> int | None:
    """How many rings no worker has heard yet; None when Redis is away."""
    try:
        return len(_queue(connection(timeout=0.5)))
    except RedisError:
        return None


def _ring(redis: Redis, workers: int = 1) -> None:
    """Ring for so many workers; a worker that died lately may still be counted."""
    queue = _queue(redis)
    # A drain that has not started yet will see our row too: it was committed before the ring.
    for _ in range(len(queue), max(1, min(workers, MOST_RINGS))):
        queue.enqueue_call(DRAIN, timeout=JOB_TIMEOUT, result_ttl=0, failure_ttl=3600)


def _queue(redis: Redis) -> Queue:
    return Queue(QUEUES[0], connection=redis, serializer=JSONSerializer)


class Door(Queue):
    """The queue as a worker listens at it: it remembers that Redis went away meanwhile."""

    was_lost = False

    @classmethod
    def dequeue_any(cls, *args: Any, **kwargs: Any) -> Any:
        with cls.remembering():
            return super().dequeue_any(*args, **kwargs)

    @classmethod
    @contextmanager
    def remembering(cls) -> Iterator[None]:
        try:
            yield
        except RedisError:
            cls.was_lost = True
            raise


class DrainWorker(Worker):
    """RQ's forking worker, which rings for itself and stops its work-horse gently."""

    before_fork: Callable[[], None] = staticmethod(lambda: None)
    #: Told what this worker does, and what went wrong: waiting, sending, or looking for Redis.
    tell: Callable[[str, str], None] = staticmethod(lambda _doing, _error: None)
    #: RQ would look for a lost Redis ever more rarely.
    max_connection_wait_time = 1.0

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ's sign of life: the first call to a Redis that is back, where no ring was heard."""
        with Door.remembering():
            super().heartbeat(timeout, pipeline)
            if Door.was_lost and pipeline is None:
                self._say_alive()
                _ring(self.connection)
                Door.was_lost = False

    def run_maintenance_tasks(self) -> None:
        """The sweeper's tick: RQ calls it at the start, and regularly while idle."""
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        self._say_alive()
        self.tell("waiting", "")
        _ring(self.connection)

    def maintain_heartbeats(self, *args: Any, **kwargs: Any) -> None:
        super().maintain_heartbeats(*args, **kwargs)
        self._say_alive()
        self.tell("sending", "")

    def handle_work_horse_killed(self, *args: Any, **kwargs: Any) -> None:
        super().handle_work_horse_killed(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.tell("waiting", "The process that was sending ended without a word, or was killed.")

    def handle_exception(self, job: Any, *exc_info: Any) -> None:
        super().handle_exception(job, *exc_info)
        self.tell("sending", f"{exc_info[0].__name__}: {exc_info[1]}")

    def handle_job_failure(self, *args: Any, **kwargs: Any) -> None:
        """RQ keeps a failure's traceback in Redis for a while: no address or token in it."""
        if "exc_string" in kwargs:
            kwargs["exc_string"] = redacted(kwargs["exc_string"])
        super().handle_job_failure(*args, **kwargs)

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            os.kill(self.horse_pid, signal.SIGUSR1)

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        # systemd and others ask every process of a service at once, the work-horse too.
        for asked in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(asked, _stop)

    @property
    def was_asked_to_stop(self) -> bool:
        return self._shutdown_requested_date is not None

    def fork_work_horse(self, *args: Any, **kwargs: Any) -> None:
        type(self).before_fork()
        super().fork_work_horse(*args, **kwargs)

    def _say_alive(self) -> None:
        self.connection.set(ALIVE_KEY, "1", ex=ALIVE_SECONDS)


def serve(
    config: Config, before_fork: Callable[[], None], tell: Callable[[str, str], None]
) -> None:
    """Work until SIGTERM or SIGINT, whatever becomes of Redis. Needs an app context.

    tell: told what this worker does, and what went wrong, again and again.
    """
    DrainWorker.before_fork, DrainWorker.tell = staticmethod(before_fork), staticmethod(tell)
    while not _was_asked_to_stop(config):
        time.sleep(1)


def _was_asked_to_stop(config: Config) -> bool:
    """Work for as long as Redis is there; whether it ended because somebody said so."""
    worker = None
    try:
        worker = _worker(config)
        worker.work(logging_level="WARNING")
    except RedisError as problem:
        log.warning("Redis is away, and looked for every second: %s", type(problem).__name__)
        DrainWorker.tell("looking for Redis", "")
    finally:  # until the next worker listens, a signal ends the process as it usually does
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, signal.SIG_DFL)
    return worker is not None and worker.was_asked_to_stop


def _worker(config: Config) -> DrainWorker:
    return DrainWorker(
        list(QUEUES),
        connection=Redis.from_url(config.REDIS_URL, socket_connect_timeout=5),
        serializer=JSONSerializer,
        queue_class=Door,
        worker_ttl=15 + max(1, int(config.SWEEP_SECONDS)),
        maintenance_interval=max(1, int(config.SWEEP_SECONDS)) - 1,
        job_monitoring_interval=min(30, max(1, int(config.SWEEP_SECONDS))),
    )


def _stop(_signum: int, _frame: FrameType | None) -> None:
    stopping.set()
