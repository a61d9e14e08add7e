"""Counts the results of a suite, and compares those that failed with the list of those that are known to.

    tally.py NAME {junit|go} RESULTS LIST VERSION

A line of the list is a pattern of names and, behind `#`, why they fail; on another server than HeliosDB all may fail.
"""

import fnmatch
import os
import re
import sys
import xml.etree.ElementTree


def of_junit(path):
    """Outcomes by test; a test that failed and whose cleaning up failed too is one."""
    outcomes = {}
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        # SQLAlchemy has the server's version in its classes' names.
        group = re.sub(r"_postgresql\+.*$", "", case.get("classname").rsplit(".", 1)[-1])
        name = f"{group}.{case.get('name')}"
        problem = case.find("failure") is not None or case.find("error") is not None
        outcome = "failed" if problem else "skipped" if case.find("skipped") is not None else "passed"
        if outcomes.get(name) != "failed":
            outcomes[name] = outcome
    return outcomes


def of_go(path):
    kinds = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
    with open(path, errors="replace") as lines:
        found = (re.match(r"--- (PASS|FAIL|SKIP): (\S+)", line) for line in lines)
        return {match[2]: kinds[match[1]] for match in found if match}


def known_in(path):
    if not os.path.exists(path):
        return []
    with open(path) as lines:
        return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def main():
    name, kind, results, known_path, version = sys.argv[1:]
    outcomes = of_junit(results) if kind == "junit" else of_go(results)
    count = {each: sum(outcome == each for outcome in outcomes.values()) for each in ("passed", "failed", "skipped")}
    server = "HeliosDB Nano" if "HeliosDB" in version else version.split(" on ")[0]
    print(f"{name} on {server}: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    failures = sorted(test for test, outcome in outcomes.items() if outcome == "failed")
    if "HeliosDB" not in version:
        for test in failures:
            print(f"  failed: {test}")
        return 0
    known = known_in(known_path)
    new = [test for test in failures if not any(fnmatch.fnmatchcase(test, pattern) for pattern in known)]
    for test in new:
        print(f"  failed, and is not in {os.path.basename(known_path)}: {test}")
    for pattern in known:
        if not any(fnmatch.fnmatchcase(test, pattern) for test in failures):
            print(f"  passes now, and can leave {os.path.basename(known_path)}: {pattern}")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
