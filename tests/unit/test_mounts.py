"""Which folders of this machine an agent is given: real folders, real links, and who may write what."""

from __future__ import annotations

import os
import string
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agent_check import check_agents
from bot.config import Config, load
from bot.errors import ConfigError
from bot.mount_denials import NAMES, SCAN_ENTRIES, SCAN_LEVELS, TREES, denied_by, found, overlapping
from bot.mount_list import MAX_LIST_BYTES, MountRefused, default_list, read_list
from bot.mounts import Mounts
from container.base import Mount


class Machine:
    """A project with a configuration, a list outside of it, and folders that may be asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "project"
        self.list = root / "home" / ".config" / "roost" / "mounts.toml"
        self.srv = root / "srv"
        for folder in (self.project, self.list.parent, self.srv / "handbook" / "deep"):
            folder.mkdir(parents=True)
        # Whatever the umask is.
        for folder in (root, *self.list.parents[:3]):
            folder.chmod(0o755)
        (self.srv / "handbook" / "page.md").write_text("hello")
        self.allow(self.srv)

    def allow(self, *paths: Path, writable: bool = False, more: str = "", top: str = "") -> None:
        """Writes the list."""
        entries = [f'[[allow]]\npath = "{path}"\nwritable = {str(writable).lower()}\n' for path in paths]
        self.list.write_text(top + "".join(entries) + more)
        self.list.chmod(0o600)

    def config(self, *mounts: str, more: str = "") -> Config:
        """An agent bob that asks for these, each the lines of a [[mounts]]."""
        asked = "".join(f"[[agents.bob.mounts]]\n{each}\n" for each in mounts)
        (self.project / "config.toml").write_text(more + asked)
        return load(self.project / "config.toml", {})

    def ask(self, *mounts: str, more: str = "") -> list[Mount]:
        environ = {"XDG_CONFIG_HOME": str(self.list.parents[1])}
        return Mounts(self.config(*mounts, more=more), environ).of("bob")

    def refusal(self, *mounts: str, more: str = "") -> str:
        with pytest.raises(MountRefused) as caught:
            self.ask(*mounts, more=more)
        said = str(caught.value)
        assert "\n" not in said
        return said

    def folder(self, *parts: str) -> Path:
        folder = self.srv.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    # What pytest makes is a real path on every machine but one where /tmp is a link.
    return Machine(tmp_path.resolve())


def source(path: Path, target: str | None = None, *, writable: bool = False) -> str:
    lines = [f'source = "{path}"', f"writable = {str(writable).lower()}"]
    return "\n".join([*lines, f'target = "{target}"'] if target else lines)


# ---------------------------------------------------------------- what is given


def test_an_allowed_folder_is_mounted_for_reading(machine: Machine) -> None:
    book = machine.srv / "handbook"
    assert machine.ask(source(book)) == [Mount(book, Path("/mnt/handbook"), writable=False)]
    assert machine.ask(source(book, "/mnt/other")) == [Mount(book, Path("/mnt/other"))]
    # The allowed folder itself, and one far below it.
    assert machine.ask(source(machine.srv), source(book / "deep")) == [
        Mount(machine.srv, Path("/mnt/srv")),
        Mount(book / "deep", Path("/mnt/deep")),
    ]


def test_directories_are_mounted_for_reading_before_the_mounts(machine: Machine) -> None:
    machine.allow(machine.srv, writable=True)
    more = f'[agents.bob]\ndirectories = ["{machine.srv}/handbook"]\n'
    assert machine.ask(source(machine.folder("b"), writable=True), more=more) == [
        Mount(machine.srv / "handbook", Path("/mnt/handbook")),
        Mount(machine.srv / "b", Path("/mnt/b"), writable=True),
    ]


def test_whoever_asks_for_nothing_needs_no_list(machine: Machine) -> None:
    machine.list.unlink()
    assert machine.ask(more="[agents.bob]\n") == []


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("allowed", [False, True])
def test_writing_takes_both_sides(machine: Machine, asked: bool, allowed: bool) -> None:
    machine.allow(machine.srv, writable=allowed)
    (mount,) = machine.ask(source(machine.srv / "handbook", writable=asked))
    assert mount.writable == (asked and allowed)


def test_reading_instead_of_writing_is_said(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.ask(source(machine.srv / "handbook"))
    assert not caplog.records
    machine.ask(source(machine.srv / "handbook", writable=True))
    assert "mounted for reading only" in caplog.text and str(machine.list) in caplog.text


def test_the_nearest_rule_counts_and_holds_for_what_is_around_it(machine: Machine) -> None:
    archive, other = machine.folder("archive", "2020"), machine.folder("other")
    machine.allow(machine.srv, writable=True, more=f'[[allow]]\npath = "{machine.srv}/archive"\n')
    mounts = machine.ask(*(source(each, writable=True) for each in (archive, other)))
    assert [mount.writable for mount in mounts] == [False, True]
    # Who writes to all of it would write to the archive, too.
    (whole,) = machine.ask(source(machine.srv, writable=True))
    assert not whole.writable


def test_a_change_of_the_list_counts_at_the_next_start(machine: Machine) -> None:
    config = machine.config(source(machine.srv / "handbook"))
    mounts = Mounts(config, {"XDG_CONFIG_HOME": str(machine.list.parents[1])})
    assert mounts.of("bob") and mounts.mistakes() == []
    machine.allow()
    with pytest.raises(MountRefused):
        mounts.of("bob")
    assert len(mounts.mistakes()) == 1


# ---------------------------------------------------------------- what is not allowed


def test_what_no_rule_covers_is_refused_with_what_to_write(machine: Machine) -> None:
    other = machine.root / "elsewhere"
    other.mkdir()
    said = machine.refusal(source(other))
    assert said == (
        f"[agents.bob] mounts[0]: {other} lies in no folder of {machine.list}; "
        f'write there: [[allow]] and path = "{other}"'
    )
    # A name that only begins like an allowed one is another folder.
    beside = machine.root / "srv-private"
    beside.mkdir()
    assert "lies in no folder" in machine.refusal(source(beside))
    assert "lies in no folder" in machine.refusal(source(machine.srv / ".." / "elsewhere"))


def test_a_link_is_judged_by_where_it_leads(machine: Machine) -> None:
    outside = machine.root / "outside"
    (outside / "sub").mkdir(parents=True)
    link = machine.srv / "link"
    link.symlink_to(outside)
    assert "lies in no folder" in machine.refusal(source(link))
    assert "lies in no folder" in machine.refusal(source(link / "sub"))
    # One that stays inside is mounted by what it is, so that it may be changed later without harm.
    link.unlink()
    link.symlink_to("handbook")
    assert machine.ask(source(link)) == [Mount(machine.srv / "handbook", Path("/mnt/link"))]
    # And a rule by where its link leads.
    (machine.root / "alias").symlink_to(outside)
    machine.allow(machine.root / "alias")
    assert machine.ask(source(outside / "sub")) == [Mount(outside / "sub", Path("/mnt/sub"))]


def test_a_folder_that_became_a_link_is_refused_at_the_next_start(machine: Machine) -> None:
    asked = source(machine.srv / "handbook")
    assert machine.ask(asked)
    (machine.srv / "handbook").rename(machine.srv / "was")
    (machine.srv / "handbook").symlink_to("/usr/share")
    assert "lies in no folder" in machine.refusal(asked)


def test_what_cannot_be_mounted_is_refused(machine: Machine) -> None:
    loop = machine.srv / "loop"
    loop.symlink_to(loop)
    for path, said in (
        (machine.srv / "none", "cannot be found"),
        (loop, "cannot be found"),
        (machine.srv / "handbook" / "page.md", "is no folder"),
        (machine.folder("a:b"), "a colon or a control character"),
    ):
        assert said in machine.refusal(source(path))


@pytest.mark.parametrize(
    "parts",
    [
        (".ssh",), (".SSH", "deep"), (".aws", "x"), (".config", "gcloud", "x"), (".env.d",), ("secrets",),
        ("project", "credentials-old"), ("server.key", "x"), (".gnupg",), (".kube",), (".docker",),
    ],
)  # fmt: skip
def test_secret_places_are_denied_although_they_are_allowed(machine: Machine, parts: tuple[str, ...]) -> None:
    folder = machine.folder(*parts)
    machine.allow(machine.srv, folder)
    assert "is never mounted" in machine.refusal(source(folder))
    # Nor by another name.
    (machine.srv / "innocent").symlink_to(folder)
    assert "is never mounted" in machine.refusal(source(machine.srv / "innocent"))
    # Nor by a way through such a name to an innocent folder.
    folder.rmdir()
    folder.symlink_to(machine.srv / "handbook")
    assert "is never mounted" in machine.refusal(source(folder))


@pytest.mark.parametrize("tree", ["/proc", "/sys/kernel", "/dev/shm", "/run", "/", "/var", "/etc"])
def test_folders_of_the_system_are_denied(machine: Machine, tree: str) -> None:
    if tree != "/":
        machine.allow(Path(tree))
    assert "is never mounted, because of /" in machine.refusal(source(Path(tree), "/mnt/x"))


def test_the_list_denies_more(machine: Machine) -> None:
    machine.allow(machine.srv, top=f'deny = ["private*", "{machine.srv}/tree"]\n')
    assert machine.ask(source(machine.srv / "handbook"))
    assert '("private*" is denied)' in machine.refusal(source(machine.folder("Private-papers")))
    assert f"because of {machine.srv}/tree" in machine.refusal(source(machine.folder("tree", "x")))
    machine.allow(machine.srv, top='deny = ["private*"]\n')
    assert "holds 'Private-papers'" in machine.refusal(source(machine.srv))


@pytest.mark.parametrize("name", [".env", "id_rsa", "server.pem", ".netrc", "app.sock", "Secrets.toml"])
@pytest.mark.parametrize("deep", [(), ("a",), ("a", "b")])
def test_a_folder_that_holds_a_secret_is_refused(machine: Machine, name: str, deep: tuple[str, ...]) -> None:
    file = machine.folder("project", *deep) / name
    file.write_text("x")
    said = machine.refusal(source(machine.srv / "project"))
    assert f"holds '{'/'.join((*deep, name))}'" in said and f"accept of that folder in {machine.list}" in said
    machine.allow(machine.srv, more=f'accept = ["{name}"]\n')
    assert machine.ask(source(machine.srv / "project"))


def test_what_is_found_is_named_within_bounds(machine: Machine) -> None:
    for number in range(9):
        (machine.srv / f"{number}.pem").touch()
    assert "holds '0.pem', '1.pem', '2.pem' and 6 more" in machine.refusal(source(machine.srv))


def test_roosts_own_folders_are_denied(machine: Machine) -> None:
    data, skills, backups = machine.folder("data"), machine.folder("bob", "skills"), machine.folder("backups")
    key = machine.folder("kept") / "model"
    key.write_text("x")
    settings = (
        f'[service]\ndata_dir = "{data}"\n[backup]\nfolder = "{backups}"\n'
        f'[agents.bob]\nfolder = "{skills.parent}"\nmodel_key_file = "{key}"\n'
    )
    machine.allow(machine.root)
    code = Path(__file__).parents[2]
    for folder in (data, data.parent, skills, skills.parent, backups, key.parent, machine.root):
        assert "is Roost's own" in machine.refusal(source(folder, "/mnt/x"), more=settings), folder
    for folder in (machine.project, machine.list.parent, machine.list.parents[1]):
        assert "is Roost's own" in machine.refusal(source(folder, "/mnt/x"), more=settings), folder
    machine.allow(code)
    assert "is Roost's own" in machine.refusal(source(code / "bot"), more=settings)


# ---------------------------------------------------------------- where it appears


def test_targets_are_names_below_mnt(machine: Machine) -> None:
    for target in (
        "/workspace",
        "/mnt",
        "/mnt/",
        "/mnt/a/b",
        "/mnt/../etc",
        "/mnt/..",
        "mnt/a",
        "/mnt/a:rw",
        "/mnt/-",
    ):
        with pytest.raises(ConfigError, match='should be "/mnt/" and one name'):
            machine.config(source(machine.srv, target))


def test_a_folder_without_a_plain_name_needs_a_target(machine: Machine) -> None:
    odd = machine.folder("Größe & Co")
    assert "with a target" in machine.refusal(source(odd))
    assert machine.ask(source(odd, "/mnt/co")) == [Mount(odd, Path("/mnt/co"))]


def test_two_at_one_place_are_refused_and_one_at_two(machine: Machine) -> None:
    book, other = machine.srv / "handbook", machine.folder("x", "handbook")
    said = machine.refusal(source(book), source(other))
    assert said == "[agents.bob] mounts[1]: another folder is at /mnt/handbook; give it another target"
    assert "is asked for twice" in machine.refusal(source(book), source(book, "/mnt/again", writable=True))


# ---------------------------------------------------------------- the list


def test_the_list_lies_where_the_environment_says() -> None:
    assert default_list({"XDG_CONFIG_HOME": "/x"}) == Path("/x/roost/mounts.toml")
    usual = Path("~/.config/roost/mounts.toml").expanduser()
    assert default_list({}) == default_list({"XDG_CONFIG_HOME": "relative"}) == usual


def test_a_list_in_the_project_or_the_data_is_refused(machine: Machine) -> None:
    asked = source(machine.srv / "handbook")
    for place in (machine.project / "mounts.toml", machine.project / "data" / "mounts.toml"):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(machine.list.read_bytes())
        said = machine.refusal(asked, more=f'[mounts]\nallow_list = "{place}"\n')
        assert f"{place}, lies in {machine.project}" in said and "[mounts] allow_list" in said
        # Nor by a link from outside.
        link = machine.root / f"link-{place.parent.name}"
        link.symlink_to(place)
        assert "lies in" in machine.refusal(asked, more=f'[mounts]\nallow_list = "{link}"\n')
    elsewhere = machine.root / "etc" / "mounts.toml"
    elsewhere.parent.mkdir()
    machine.list.rename(elsewhere)
    assert machine.ask(asked, more=f'[mounts]\nallow_list = "{elsewhere}"\n')
    assert f"no list of allowed folders lies at {machine.list}" in machine.refusal(asked)


def test_a_list_that_others_may_write_is_refused(machine: Machine) -> None:
    asked = source(machine.srv / "handbook")
    for path, mode in ((machine.list, 0o620), (machine.list, 0o602), (machine.list.parents[2], 0o770)):
        before = path.stat().st_mode
        path.chmod(mode)
        assert f"{path} can be written by others" in machine.refusal(asked)
        path.chmod(before)
    # Where only the owner of a file may replace it, as in /tmp, others do no harm.
    machine.list.parents[2].chmod(0o1777)
    assert machine.ask(asked)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to somebody else")
def test_a_list_of_somebody_else_is_refused(machine: Machine) -> None:
    for path in (machine.list, machine.list.parent):
        os.chown(path, 12345, -1)
        assert f"{path} belongs to another user" in machine.refusal(source(machine.srv / "handbook"))
        os.chown(path, 0, -1)
    assert machine.ask(source(machine.srv / "handbook"))


def test_agents_may_not_write_where_the_list_lies(machine: Machine) -> None:
    machine.allow(machine.root, writable=True)
    assert f"agents may write in {machine.root}" in machine.refusal(source(machine.srv / "handbook"))


def test_a_rule_in_a_folder_that_agents_write_leads_nowhere_else(machine: Machine) -> None:
    shared, inner = machine.folder("shared"), machine.folder("shared", "inner")
    machine.allow(shared, writable=True, more=f'[[allow]]\npath = "{inner}"\n')
    assert machine.ask(source(inner))
    inner.rmdir()
    inner.symlink_to(machine.root / "home")
    assert f"{inner} leads out of {shared}" in machine.refusal(source(inner))
    inner.unlink()
    inner.symlink_to(machine.root)
    machine.allow(shared, writable=True, more=f'[[allow]]\npath = "{inner}/home"\n')
    assert "leads out of" in machine.refusal(source(inner / "home"))


def replaced_by(file: Path, make: Callable[[Path], None]) -> None:
    file.unlink()
    make(file)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: file.write_text("[[alow]]\n"), "unknown table [alow]; did you mean [allow]?"),
        (lambda file: file.write_text("[[allow]]\n"), "is missing"),
        (lambda file: file.write_text('[[allow]]\npath = "relative"\n'), "should be the whole path"),
        (lambda file: file.write_text('[[allow]]\npath = "/"\n'), "not / itself"),
        (
            lambda file: file.write_text('[[allow]]\npath = "/srv"\nwritable = "yes"\n'),
            "should be a valid boolean",
        ),
        (lambda file: file.write_text("[[allow\n"), "is not valid TOML"),
        (lambda file: file.write_bytes(b"\xff"), "not text in UTF-8"),
        (lambda file: file.write_bytes(b"#" * (MAX_LIST_BYTES + 1)), "longer than 256 KiB"),
        (lambda file: replaced_by(file, os.mkfifo), "is no regular file"),
        (lambda file: replaced_by(file, os.mkdir), "is no regular file"),
    ],
)
def test_a_list_that_cannot_be_understood_allows_nothing(
    machine: Machine, make: Callable[[Path], Any], said: str
) -> None:
    make(machine.list)
    text = machine.refusal(source(machine.srv / "handbook"))
    assert said in text and str(machine.list) in text


# ---------------------------------------------------------------- the check


def test_the_check_tells_who_would_not_be_given_what_it_asks_for(machine: Machine) -> None:
    process, docker = ('[backend]\nkind = "process"\n', '[backend]\nkind = "docker"\n')
    with pytest.raises(ConfigError, match=r"\[agents.bob\] mounts: without Docker there are no containers"):
        check_agents(machine.config(source(machine.srv / "handbook"), more=process))
    directories = '[agents.bob]\ndirectories = ["/srv/anything"]\n'
    check_agents(machine.config(more=directories + process))
    with pytest.raises(ConfigError, match=r"no list of allowed folders lies at "):
        check_agents(machine.config(more=directories + docker))


# ---------------------------------------------------------------- pure

PARTS = st.text(string.ascii_lowercase + "._-", min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..")
)


@given(
    st.lists(PARTS, max_size=4),
    st.sampled_from([".ssh", "ID_RSA", "x.pem", ".env.local"]),
    st.lists(PARTS, max_size=4),
)
def test_a_denied_name_is_found_anywhere_in_a_path(before: list[str], name: str, after: list[str]) -> None:
    assert denied_by(PurePosixPath("/", *before, name, *after), NAMES) is not None


@given(st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=4), max_size=6))
def test_plain_names_are_not_denied(parts: list[str]) -> None:
    assert denied_by(PurePosixPath("/", *parts), NAMES) is None


@given(st.lists(PARTS, min_size=1, max_size=3), st.lists(PARTS, max_size=3))
def test_trees_overlap_upwards_and_downwards(upper: list[str], lower: list[str]) -> None:
    tree = Path("/", *upper)
    inside = tree.joinpath(*lower)
    assert overlapping(inside, [tree]) == tree and overlapping(tree, [inside]) == inside
    assert overlapping(tree.with_name(f"{tree.name}x"), [inside]) is None


def test_a_search_ends_within_its_bounds(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * SCAN_LEVELS)
    deep.mkdir(parents=True)
    (deep / "x.pem").touch()
    assert found(tmp_path, NAMES, ()) == []
    (deep.parent / "x.pem").touch()
    assert found(tmp_path, NAMES, ()) == [deep.parent / "x.pem"]
    # A link is a name, and not what it leads to.
    (tmp_path / "link").symlink_to(deep.parent)
    assert len(found(tmp_path, NAMES, ())) == 1
    with pytest.raises(OSError):
        found(tmp_path / "none", NAMES, ())
    assert SCAN_ENTRIES <= 100_000 and all(Path(tree).is_absolute() for tree in TREES)


def test_what_lies_right_in_a_folder_is_seen_however_much_it_is(tmp_path: Path) -> None:
    for number in range(SCAN_ENTRIES + 10):
        (tmp_path / f"{number}.pem").touch()
    assert len(found(tmp_path, NAMES, ())) == SCAN_ENTRIES + 10


def test_a_list_is_read_apart_from_others(machine: Machine) -> None:
    assert read_list(machine.list, apart_from=[machine.srv]).rule_for(machine.srv / "x") is not None
    with pytest.raises(MountRefused):
        read_list(machine.list, apart_from=[machine.root])
