"""Files and servers that mean harm; most are tests of `make test`, which are run by name.

Survived is a test that passes; of the files made here, one that is read or refused by an error of
ours, and that leaves nothing outside of its place.
"""

import contextlib
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

from faults import samples, workload
from faults.errors import describe, is_ours
from faults.result import Result

TESTS = {
    "pickles that call out, in a batch of CIFAR-10": (
        "tests/data/test_cifar_archive.py::test_an_altered_file_is_refused_before_it_is_unpickled",
        "tests/data/test_cifar_archive.py::test_even_with_the_right_hash_a_pickle_runs_nothing",
    ),
    "object arrays, in .npz weights": (
        "tests/records/test_weights.py::test_pickled_content_is_never_executed",
    ),
    "image bombs, as a photo": (
        "tests/explain/test_photo.py::test_bomb_is_refused_before_a_pixel_is_decoded",
        "tests/explain/test_photo.py::test_too_many_bytes_or_pixels",
    ),
    "addresses of local files, given or by redirection": (
        "tests/data/test_download.py::test_other_kinds_of_address_are_refused",
        "tests/data/test_web.py::test_a_redirection_to_anything_but_the_web_is_not_followed",
    ),
    "redirections into the local network, by address, by name, behind a proxy, over TLS": (
        "tests/data/test_web.py::test_a_public_server_leads_to_no_local_one_by_any_name",
        "tests/data/test_web.py::test_a_public_server_leads_to_no_local_address",
        "tests/data/test_web.py::test_a_name_with_a_public_and_a_local_address_is_not_followed",
        "tests/data/test_web.py::test_the_second_redirection_is_watched_as_the_first",
        "tests/data/test_web.py::test_a_local_server_leads_over_a_public_one_to_no_local_one",
        "tests/data/test_web.py::test_a_name_that_changes_its_address_is_connected_to_where_it_was"
        "_checked",
        "tests/data/test_web.py::test_behind_a_proxy_a_public_server_leads_to_no_local_one",
        "tests/data/test_web.py::test_https_leads_to_no_local_server_either",
        "tests/data/test_web.py::test_a_circle_of_redirections_ends",
    ),
    "endless answers, and those that unfold": (
        "tests/data/test_download.py::test_an_endless_file_is_cut_off",
        "tests/data/test_download.py::test_a_file_above_the_limit_is_given_up",
        "tests/data/test_download.py::test_a_huge_length_is_refused_before_anything_is_read",
        "tests/data/test_download.py::test_an_answer_that_unfolds_to_too_much_or_not_at_all",
        "tests/data/test_web.py::test_what_a_redirection_says_beside_its_target_is_not_read",
    ),
    "slow and silent answers": (
        "tests/data/test_download.py::test_every_kind_of_stall_ends",
        "tests/data/test_download.py::test_a_server_that_accepts_and_never_answers",
        "tests/data/test_download.py::test_a_name_lookup_that_hangs_ends",
        "tests/data/test_download.py::test_a_trickle_ends_in_time",
        "tests/data/test_web.py::test_a_server_that_is_too_slow_is_hung_up_on",
    ),
    "pipes, devices and links in the place of files": (
        "tests/data/test_image_folder.py::test_what_would_keep_a_reader_waiting_is_passed_over_and"
        "_counted",
        "tests/data/test_sources.py::test_what_is_no_ordinary_file_is_named",
        "tests/explain/test_photo.py::test_a_pipe_or_a_device_is_named_and_not_waited_for",
        "tests/data/test_cifar_archive.py::test_a_batch_in_an_archive_that_is_no_file_is_named",
    ),
}


def run_tests(fault, names, scratch, group="hostile"):
    """Runs tests of `make test` by name; returns a `Result` with a try for each case."""
    result, report = Result(group, fault), scratch / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names]
    done = subprocess.run(
        [*command, f"--junit-xml={report}"],
        cwd=workload.ROOT,
        env=workload.environment("tensorflow"),
        capture_output=True,
        text=True,
    )
    cases = ElementTree.parse(report).findall(".//testcase") if report.exists() else []
    report.unlink(missing_ok=True)
    for case in cases:
        failed = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
        result.add(f"{case.get('name')} failed or was skipped" if failed else "")
    found = {case.get("name").split("[")[0] for case in cases}
    for name in names:
        if name.split("::")[1] not in found:
            result.add(f"{name} was not run: {done.stdout.strip().splitlines()[-1:]}")
    return result.done("tests of make test")


def members(folder):
    """Members of an archive that lead out of it, in the place of a batch or beside them."""
    for name in ("../../out", "/tmp/out", f"{folder}/../../out", f"{folder}/data_batch_1"):
        plain = tarfile.TarInfo(name)
        plain.size = 1
        yield plain
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "/etc/passwd"
            yield link


def climb_out(scratch):
    """An archive whose members lead out of it, with the hash that is asked for."""
    from utils.data.cifar_archive import read_archive

    result = Result("hostile", "members that climb out of an archive, with the right hash")
    path = scratch / "inner" / "folder" / "archive.tar.gz"
    path.parent.mkdir(parents=True)
    for edition in samples.editions().values():
        folder = edition.folder
        for hostile in members(folder):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
                for name, content in samples.batches(edition).items():
                    info = tarfile.TarInfo(f"{folder}/{name}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
                tar.addfile(hostile, io.BytesIO(b"x"))
            path.write_bytes(buffer.getvalue())
            digest = hashlib.sha256(buffer.getvalue()).hexdigest()
            failure = ""
            try:
                read_archive(path, edition._replace(sha256=digest))
            except Exception as error:
                failure = "" if is_ours(error) else describe(error)
            written = [one for one in scratch.rglob("*") if one.is_file() and one != path]
            written += [one for one in (Path(tempfile.gettempdir()) / "out",) if one.exists()]
            result.add(f"{hostile.name}: {failure or written}" if failure or written else "")
    return result.done()


def bombs(scratch):
    """Weights of a few kilobytes that unfold to gigabytes, with the hash that is asked for."""
    from utils.records.weights import read_weights

    result = Result("hostile", "zip bombs, as .npz weights with the right hash")
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }"
    for size in (10**10, 10**13):
        text = (header % size).ljust(117) + b"\n"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("bomb.npy", "w", force_zip64=True) as file:
                file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
                for _ in range(20):
                    file.write(bytes(10**6))
        path = scratch / "weights.npz"
        path.write_bytes(buffer.getvalue())
        failure = "it was read"
        try:
            with little_memory():
                read_weights(path, hashlib.sha256(buffer.getvalue()).hexdigest())
        except Exception as error:
            failure = "" if is_ours(error) else describe(error)
        result.add(failure)
    return result.done()


@contextlib.contextmanager
def little_memory():
    """This process gets 2 GB more of address space at most; only Linux tells and keeps it."""
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2 * 10**9, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def attack(scratch, report=print):
    """Runs all attacks; returns a list of `Result`."""
    scratch.mkdir()
    results = []
    for result in (
        *(run_tests(fault, names, scratch) for fault, names in TESTS.items()),
        climb_out(scratch),
        bombs(scratch),
    ):
        report(result.line())
        results.append(result)
    return results
