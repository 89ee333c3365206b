"""Runs in a worker of the release: the docker program's commands, one case after the other.

    python docker_program.py PROGRAM     # prints a JSON object: case -> outcome, on the last line

A case is a shell script in which `docker` is the program, and `$C` a name that no other case uses. Each runs
in a process group with a time limit; what it leaves is removed. Some run Python code with docker-py.
"""

# mypy: ignore-errors

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

IMAGE = "busybox:1.37"
AT_ONCE = 3
SECONDS = 150

#: The oldest, one that tutorials pin, and the newest that every mode speaks.
VERSIONS = ("1.24", "1.41", "1.47")


def sdk(code, version="auto"):
    """Make a case of Python code with a docker-py client."""
    begin = f"""import os, docker
C, I, SLEEP = os.environ["C"], os.environ["I"], ["sleep", "100"]
client = docker.from_env(timeout=120, version="{version}")
run = client.containers.run
"""
    return f"python -c {shlex.quote(begin + code)}"


#: What is seen of a container from its creation to its removal.
LOOK = """
c = run(I, ["sh", "-c", "echo a; exit 3"], name=C, detach=True, environment={"X": "y"}, labels={"l": C},
        mem_limit="64m")
print(c.wait()["StatusCode"], c.logs())
c.reload()
print(c.status, c.attrs["HostConfig"]["Memory"])
print([each.name for each in client.containers.list(all=True, filters={"label": f"l={C}"})])
c.remove()
"""

CASES = {
    "run": "docker run $I echo hello",
    "run: exit code": "docker run $I sh -c 'exit 3'",
    "run: both streams": "docker run $I sh -c 'echo out; sleep 1; echo err >&2'",
    "run: a command that is not there": "docker run $I nosuchcommand",
    "run: a name twice": "docker run -d --name $C $I sleep 60; docker run --name $C $I true",
    "run -d, logs -f": "docker run -d --name $C $I sh -c 'for i in 1 2 3; do echo $i; sleep 1; done'"
    " >/dev/null; docker logs -f $C",
    "run --rm": "docker run --rm --name $C $I echo a; docker container inspect $C",
    "run --rm: exit code": "docker run --rm $I sh -c 'exit 4'",
    "run -d --rm, without wait": "docker run -d --rm --name $C $I true >/dev/null; sleep 20;"
    " docker container inspect $C",
    "run --cidfile": "docker run --rm --cidfile cid $I true; wc -c < cid",
    "run -i": "printf 'a\\nb\\n' | docker run -i --rm $I cat",
    "run -i: much input": "head -c 5000000 /dev/zero | docker run -i --rm $I wc -c",
    "run -i: no input": "docker run -i --rm $I wc -c < /dev/null",
    "run -i: every byte": "seq 1 200000 | docker run -i --rm $I sha256sum",
    "run -i: more than it reads": "yes | docker run -i --rm $I head -n 1",
    "run -i: exit code": "echo a | docker run -i --rm $I sh -c 'read x; exit 7'",
    "run -di": "docker run -di --name $C $I cat >/dev/null; sleep 5;"
    " docker inspect -f '{{.State.Running}}' $C",
    "run -t": "docker run -t $I sh -c 'test -t 1 && echo terminal'",
    "run -e": "docker run -e A=b -e 'C=$(A)' $I sh -c 'echo $A; echo \"$C\"'",
    "run -w, --entrypoint": "docker run -w /tmp --entrypoint pwd $I",
    "run -m": "docker run --name $C -m 64m $I true; docker inspect -f '{{.HostConfig.Memory}}' $C",
    "run -v": "docker run -v /etc:/e $I true",
    "run -p": "docker run -p 8080:80 $I true",
    "run --privileged": "docker run --privileged $I true",
    "run --network host": "docker run --network host $I true",
    "run --security-opt systempaths": "docker run --security-opt systempaths=unconfined $I true",
    "run --init": "docker run --init $I cat /proc/1/comm",
    "run --memory-swap": "docker run -m 64m --memory-swap 128m $I echo a",
    "run --log-driver none": "docker run --log-driver none $I echo a",
    "run --log-opt": "docker run --log-opt max-size=1m --log-opt max-file=3 $I echo a",
    "run --detach-keys": "echo a | docker run -i --name $C --detach-keys ctrl-p $I cat",
    "run: an image that is not there": "docker run nosuchimage.invalid/a:1 true",
    "create, start -a": "docker create --name $C $I echo a >/dev/null; docker start -a $C",
    "ps": "docker run -d --name $C --label l=$C $I sleep 60 >/dev/null;"
    " docker ps --filter label=l=$C --format '{{.Names}} {{.Image}} {{.State}}'",
    # A daemon's list may be a moment behind.
    "ps -a": "docker run --name $C $I sh -c 'exit 5'; for try in 1 2 3 4 5; do sleep 0.2;"
    " docker ps -a --filter name=^$C\\$ --filter exited=5 --format '{{.Names}} {{.State}}' | grep . && break;"
    " done",
    "logs --tail, -t": "docker run --name $C $I sh -c 'echo 1; echo 2; echo 3' >/dev/null;"
    " docker logs --tail 2 $C; docker logs -t --tail 1 $C | grep -Ec '^20[0-9-]+T[0-9:.]+Z 3$'",
    "logs --since, --until": "docker run --name $C $I echo 1 >/dev/null; docker logs --since 1h $C;"
    " docker logs --until 1h $C",
    "inspect": "docker run --name $C -e A=b --label x=y $I true;"
    " docker inspect -f '{{.Name}} {{.State.ExitCode}} {{.Config.Labels}} {{.HostConfig.LogConfig.Type}}' $C",
    "wait": "docker run -d --name $C $I sh -c 'sleep 2; exit 7' >/dev/null; docker wait $C",
    "stop": "docker run -d --name $C $I sleep 100 >/dev/null; docker stop -t 1 $C >/dev/null;"
    " docker inspect -f '{{.State.Running}}' $C",
    "kill": "docker run -d --name $C $I sleep 100 >/dev/null; docker kill $C >/dev/null;"
    " docker inspect -f '{{.State.Running}}' $C",
    "kill -s USR1": 'docker run -d --name $C $I sh -c \'trap "echo got; exit 6" USR1; while :;'
    " do sleep 1; done' >/dev/null; sleep 4; docker kill -s USR1 $C >/dev/null || exit 9;"
    " docker wait $C; docker logs $C",
    "rm": "docker run --name $C $I true; docker rm $C >/dev/null; docker container inspect $C",
    "rm: what runs": "docker run -d --name $C $I sleep 60 >/dev/null; docker rm $C",
    "rm -f": "docker run -d --name $C $I sleep 60 >/dev/null; docker rm -f $C >/dev/null;"
    " docker container inspect $C",
    "pull": "docker pull -q $I",
    "pull: an image that is not there": "docker pull nosuchimage.invalid/a:1",
    "images": "docker run --rm $I true; docker images --format '{{.Repository}}:{{.Tag}}' | grep -x $I",
    "image inspect": "docker run --rm $I true; docker image inspect -f '{{.Os}}' $I",
    "image inspect: one that is not there": "docker image inspect nosuchimage",
    "events": "S=$(date +%s); docker run --rm --name $C --label l=$C $I true; sleep 3;"
    " docker events --since $S --until $(($(date +%s) + 1)) --filter label=l=$C"
    " --filter event=create --filter event=start --filter event=die --format '{{.Action}}'",
    "info": "docker info -f '{{.OSType}}'",
    "version": "docker version -f '{{.Server.Os}}'",
    **{
        f"API {each}": f"export DOCKER_API_VERSION={each}; docker run --rm $I echo a;"
        " docker run -d --name $C --label l=$C $I sh -c 'echo b; sleep 4; exit 3' >/dev/null;"
        " docker ps --filter label=l=$C --format '{{.Names}} {{.State}}'; docker wait $C; docker logs $C;"
        " docker inspect -f '{{.State.ExitCode}}' $C; docker rm $C"
        for each in VERSIONS
    },
    **{f"docker-py, API {each}": sdk(LOOK, each) for each in VERSIONS},
    "docker-py: run": sdk("print(run(I, ['echo', 'a'], remove=True))"),
    "docker-py: run, a stream": sdk("print(list(run(I, ['seq', '3'], stream=True)))"),
    "docker-py: run, exit code": sdk("run(I, ['sh', '-c', 'exit 3'])") + " 2>&1 | grep -o ' exit status 3'",
    "docker-py: stop": sdk(
        "c = run(I, SLEEP, name=C, detach=True); c.stop(timeout=1); c.reload(); print(c.status)"
    ),
    "docker-py: kill": sdk("c = run(I, SLEEP, name=C, detach=True); c.kill(); print(c.wait()['StatusCode'])"),
    "docker-py: images": sdk("print(I in client.images.pull(I).tags, I in client.images.get(I).tags)"),
    "docker-py: none there": sdk("client.containers.get(C)") + " 2>&1 | grep -o docker.errors.NotFound",
    "exec": "docker run -d --name $C $I sleep 60 >/dev/null; docker exec $C echo a",
    "cp into": "docker create --name $C $I cat /tmp/f >/dev/null; echo a > f; docker cp -q f $C:/tmp/f;"
    " docker start -a $C",
    "commit": "docker run --name $C $I true; docker commit $C >/dev/null",
    "build": "echo FROM $I > Dockerfile; echo LABEL a=b >> Dockerfile;"
    " DOCKER_BUILDKIT=0 docker build -q . >/dev/null",
    "network create": "docker network create $C >/dev/null; docker network rm $C >/dev/null",
    "volume create": "docker volume create $C >/dev/null; docker volume rm $C >/dev/null",
    "swarm": "docker service ls",
}


def run(number, name, program):
    """Give code, output and errors of a case; a time that ran out is a code of its own."""
    container = f"case{number}-{os.getpid()}"
    with tempfile.TemporaryDirectory() as directory:
        functions = f'docker() {{ "{program}" "$@"; }}; export C={container} I={IMAGE}\n'
        environment = {**os.environ, "HOME": directory}
        process = subprocess.Popen(
            ["bash", "-c", functions + CASES[name]], cwd=directory, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=SECONDS)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            code = "too long"
        subprocess.run([program, "rm", "-f", container], capture_output=True, timeout=SECONDS)
    return {
        "code": code,
        "out": re.sub(r"\b[0-9a-f]{64}\b", "ID", out.replace(container, "NAME")),
        "err": err.replace(container, "NAME")[-1500:],
    }


def main(program):
    """Run all cases."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {name: pool.submit(run, number, name, program) for number, name in enumerate(CASES)}
        print(json.dumps({name: each.result() for name, each in running.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
