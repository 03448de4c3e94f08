"""A real SLURM on this machine: slurmctld, and a slurmd for each of two nodes, one with two GPUs.

The GPUs are simulated by character devices that every machine has, and memory limits are not
enforced (no cgroups). Changes no file outside its folder and stops no other process.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo")
NODES = ("n1", "n2")

CONFIGURATION = """\
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0
MpiDefault=none
SwitchType=switch/none
# Longer than the interval of status checks, so that squeue still knows the job.
MinJobAge=300
KillWait=5
# Seconds without a response after which a node and its jobs are lost.
SlurmdTimeout=10
ReturnToService=2
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs=4 RealMemory=500000
# The node with GPUs is the last to get jobs without one.
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} Gres=gpu:2 Weight=2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=toy Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
GPUS = "NodeName=n1 Name=gpu File=/dev/null\nNodeName=n1 Name=gpu File=/dev/zero\n"

# The executor's inner srun gets an environment without SLURM_CONF.
SRUN = '#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n'


class Cluster:
    """A SLURM in a folder.

    Attributes:
        environment: Environment variables of processes that use it.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("state", "bin", *(f"spool.{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }
        values = {
            "folder": folder,
            "user": self.call("id", "-un").strip(),
            "host": self.call("hostname", "-s").strip(),
            "ports": free_ports(1 + len(NODES)),
            "srun": shutil.which("srun"),
        }
        (folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        (folder / "gres.conf").write_text(GPUS)
        (folder / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
        self.program("srun", SRUN.format(**values))

    def program(self, name: str, text: str) -> None:
        """Install a program that comes first on PATH."""
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def call(self, *command: str) -> str:
        """Run a command in the cluster's environment; return its output.

        Raises:
            RuntimeError: The command fails.
        """
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def start(self) -> None:
        """Start the daemons, and wait until the nodes take jobs."""
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        options = {
            "key-file": key,
            "socket": self.folder / "munge.socket",
            "pid-file": self.folder / "munged.pid",
            "log-file": self.folder / "munged.log",
            "seed-file": self.folder / "munge.seed",
        }
        self.call("munged", "--force", *(f"--{name}={path}" for name, path in options.items()))
        self.call("slurmctld", "-c")
        for node in NODES:
            self.call("slurmd", "-N", node)
        wait(lambda: self.call("sinfo", "-hN", "-o", "%T").split() == ["idle"] * len(NODES), 60)

    def kill_node(self, node: str) -> None:
        """Kill a node's daemon, as a crash would; the processes of its jobs continue."""
        path = self.folder / f"slurmd.{node}.pid"
        os.kill(int(path.read_text()), signal.SIGKILL)
        path.unlink()

    def stop(self) -> None:
        """End all jobs and the daemons."""
        with contextlib.suppress(RuntimeError):
            self.call("scancel", "--user", self.call("id", "-un").strip())
            wait(lambda: not self.call("squeue", "-h", "-t", "running,completing"), 30)
        # slurmd before slurmctld before munged, which both need.
        for path in sorted(self.folder.glob("*.pid"), reverse=True):
            process = int(path.read_text())
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
                wait(lambda process=process: not Path(f"/proc/{process}").exists(), 20)


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[Cluster]:
    """Run a SLURM during a block."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def missing() -> list[str]:
    """Return the programs of SLURM that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def free_ports(count: int) -> list[int]:
    """Return ports that are free."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in servers]


def wait(condition, seconds: float) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.2)
