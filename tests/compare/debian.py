"""Debian's package of Tsung, installed where it is missing."""

import os
import shutil
import subprocess

import click

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "RUNLEVEL": "1",  # the packages' scripts start no services
}


def tsung() -> str:
    """Returns the path of Tsung; installs it if it is missing."""
    if not (found := shutil.which("tsung")):
        install()
        found = shutil.which("tsung")
    if not found:
        raise click.ClickException(
            "apt-get installed tsung, but no command tsung is on the path; see dpkg -L tsung"
        )
    return found


def version() -> str:
    """Returns the version of the package."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f=${Version}", "tsung"], capture_output=True, text=True, check=False
    )
    return done.stdout or "not of Debian"


def install() -> None:
    """Installs the package and its dependencies, Erlang and gnuplot: 250 MB."""
    if os.geteuid() or not shutil.which("apt-get"):
        raise click.ClickException(
            "Tsung is missing, and only root can install it: apt-get install tsung"
        )
    click.echo("installing Debian's package tsung …", err=True)
    for words in (["update"], ["install", "-y", "--no-install-recommends", "tsung"]):
        done = subprocess.run(
            ["apt-get", *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise click.ClickException(
                f"apt-get {' '.join(words)} failed:\n{done.stdout}{done.stderr}"
            )
