"""This server and a temporary PostgreSQL 15 side by side, for the comparisons in this folder.

Both listen on Unix sockets in a folder of their own, have caches that hold all data, and are gone at the end. psycopg 3
is their client: `pip install 'psycopg[binary]'`.
"""
import os
import pathlib
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import psycopg

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
POSTGRES_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Server:
    """A running server: where it listens, and the process whose time counts."""

    def __init__(self, name, socket_folder):
        self.name = name
        self.socket_folder = socket_folder
        self.pid = None

    def connect(self, **options):
        return psycopg.connect(
            host=str(self.socket_folder), port=5432, user="postgres", dbname="postgres", autocommit=True, **options
        )

    def wait_until_ready(self):
        for _ in range(600):
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise SystemExit(f"{self.name} does not answer")

    def cpu_seconds(self):
        """The processor time of the server and its children: to the nanosecond, that of ended children to the tick."""
        seconds = 0
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in [str(self.pid), *children]:
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    seconds += int(task.read_text().split()[0]) / 1e9
                except (FileNotFoundError, ProcessLookupError):
                    continue
        ended = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()[13:15]
        return seconds + sum(map(int, ended)) / TICKS_A_SECOND


class Pair:
    """Both servers, for a `with` statement."""

    def __init__(self, cache_megabytes=512, settings=()):
        """`settings` are PostgreSQL's, as `name=value`; what both know is to be set in the sessions."""
        self.cache_megabytes = cache_megabytes
        self.settings = settings

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that the servers are ended too.
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)
        self.helios = Server("helios", self.folder / "helios")
        self.postgres = Server("postgres", self.folder / "postgres")
        self.as_postgres = []
        for server in (self.helios, self.postgres):
            server.socket_folder.mkdir()
        if os.getuid() == 0:  # PostgreSQL refuses to run as root.
            shutil.chown(self.postgres.socket_folder, "postgres")
            self.as_postgres = ["runuser", "-u", pwd.getpwnam("postgres").pw_name, "--"]
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def control(self, *arguments):
        data = self.postgres.socket_folder / "data"
        command = [*self.as_postgres, str(POSTGRES_BIN / arguments[0]), "-D", str(data), *arguments[1:]]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def start(self):
        self.control("initdb", "-U", "postgres", "-A", "trust", "--locale=C", "--encoding=UTF8")
        settings = [f"shared_buffers={self.cache_megabytes}MB", "listen_addresses=", *self.settings]
        settings.append(f"unix_socket_directories={self.postgres.socket_folder}")
        options = " ".join(f"-c {setting}" for setting in settings)
        log = str(self.postgres.socket_folder / "printed")
        self.control("pg_ctl", "-w", "-l", log, "-o", options, "start")
        self.postgres.pid = int((self.postgres.socket_folder / "data/postmaster.pid").read_text().split()[0])
        target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
        binary = os.environ.get("HELIOS_SERVER", pathlib.Path(target) / "release/heliosdb-nano")
        folder = self.helios.socket_folder
        command = [str(binary), "start", "--data", str(folder / "data"), "--socket-dir", str(folder)]
        command += ["--port", "5432", "--cache-size", str(self.cache_megabytes << 20)]
        with open(folder / "printed", "w") as printed:
            # In a session of its own, as PostgreSQL is: Linux divides busy cores among sessions.
            self.process = subprocess.Popen(command, stdout=printed, stderr=printed, start_new_session=True)
        self.helios.pid = self.process.pid
        for server in (self.helios, self.postgres):
            server.wait_until_ready()

    def __iter__(self):
        return iter((self.helios, self.postgres))

    def __exit__(self, *_):
        if self.helios.pid:
            self.process.terminate()
            self.process.wait()
        if self.postgres.pid:
            self.control("pg_ctl", "-m", "fast", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def median(values):
    return statistics.median(values)


def geometric_mean(values):
    return statistics.geometric_mean(values)
