"""Finds files, and tries to prove a codemod wrong: an agent of Bellwether for `--agent-command`, without dependencies.

A review reads the file's text at the base and at the branch from git and holds them against each other, without
ast-grep, tree-sitter or the rule's own matching:

- `shapes`: both are parsed by CPython. Where the trees differ there must be an instance of the one side of a pair of
  `shapes` before and the same instance of its other side after; all else, the comments included, must be equal.
- `percent`: the same for `"…%s…" % x` as `"…{}…".format(x)`, and both forms are evaluated with probes.
- `rust`: the tokens must be equal but for `std` that became `core`, before `::` and one of `modules`.
"""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
import warnings


def git(*words):
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def discover(task):
    command = ["git", "grep", "-lE", "-e", task["contains"], "HEAD", "--", *task["files"]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode > 1:
        raise RuntimeError(done.stderr)
    return [line.split(":", 1)[1] for line in done.stdout.splitlines()]


# Python: two trees, side by side.


def differences(old, new, inside=()):
    """The smallest pairs of expressions that differ, or of other nodes where no expression encloses the difference."""
    if isinstance(old, ast.AST) and type(old) is type(new):
        pairs = [(getattr(old, name, None), getattr(new, name, None)) for name in old._fields]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = list(zip(old, new))
    elif old == new and not isinstance(old, ast.AST):
        return
    else:
        yield (old, new), inside
        return
    for before, after in pairs:
        here = inside + ((old, new),) if isinstance(old, ast.expr) else inside
        yield from differences(before, after, here)


def fits(shape, node, bound):
    """Whether `node` is an instance of `shape`, whose names that begin with `_` stand for any expression."""
    if isinstance(shape, ast.Name) and shape.id.startswith("_"):
        text = ast.dump(node) if isinstance(node, ast.AST) else None
        return text is not None and bound.setdefault(shape.id, text) == text
    if isinstance(shape, ast.AST):
        return type(shape) is type(node) and all(
            fits(getattr(shape, name, None), getattr(node, name, None), bound)
            for name in shape._fields
            if name != "ctx"
        )
    if isinstance(shape, list):
        return isinstance(node, list) and len(shape) == len(node) and all(map(fits, shape, node, [bound] * len(shape)))
    return shape == node


def by_shapes(task):
    shapes = [[ast.parse(side, mode="eval").body for side in pair] for pair in task["shapes"]]

    def judge(old, new):
        for before, after in shapes:
            bound = {}
            if fits(before, old, bound) and fits(after, new, bound):
                return None
        return "is no instance of the rule"

    return judge


def percent(old, new):
    match old, new:
        case (
            ast.BinOp(left=ast.Constant(value=template), op=ast.Mod(), right=value),
            ast.Call(func=ast.Attribute(value=ast.Constant(value=format), attr="format"), args=[argument], keywords=[]),
        ) if ast.dump(value) == ast.dump(argument):
            pass
        case _:
            return "is no instance of the rule"
    if not (isinstance(template, str) and isinstance(format, str)):
        return "bytes have no format()"
    for probe in ("probe", "{}", "%s", 7, None, 2.5):
        try:
            expected = template % (probe,)
        except (TypeError, ValueError) as error:
            return f"{template!r} does not take one value ({error})"
        try:
            got = format.format(probe)
        except (IndexError, KeyError, ValueError, AttributeError) as error:
            return f"{format!r} cannot be formatted ({type(error).__name__}: {error})"
        if got != expected:
            return f"for {probe!r} it gives {got!r} in place of {expected!r}"
    return None


def comments(text):
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def python(before, after, judge):
    try:
        old, new = ast.parse(before), ast.parse(after)
    except SyntaxError as error:
        return 0, [f"line {error.lineno}: it does not parse any more: {error.msg}"]
    refuted = ["a comment was lost or changed"] if comments(before) != comments(after) else []
    judged = {}
    for pair, inside in differences(old, new):
        # The rule's instance is the difference itself or an expression around it.
        candidates = [one for one in (pair, *reversed(inside)) if isinstance(one[0], ast.AST)] or [pair]
        verdicts = [(judge(*candidate), candidate) for candidate in candidates]
        verdict, (node, _) = next((found for found in verdicts if found[0] is None), None) or next(
            (found for found in verdicts if "no instance" not in found[0]), verdicts[0]
        )
        judged[id(node)] = (verdict, node)
    for verdict, node in judged.values():
        if verdict:
            source = ast.get_source_segment(before, node) if isinstance(node, ast.AST) else repr(node)
            refuted.append(f"line {getattr(node, 'lineno', '?')}: `{source}` {verdict}")
    return len(judged), refuted


# Rust: two rows of tokens.

RUST = re.compile(
    r"""(?P<space>\s+)|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<text>b?r(\#*)".*?"\4|b?c?"(?:\\.|[^"\\])*"|b?'(?:\\.|[^'\\])'"""
    r"""|b?'\\u\{[0-9a-fA-F_]+\}')|(?P<word>(?:r\#|')?\w+)|(?P<mark>::|.)""",
    re.DOTALL | re.VERBOSE,
)


def rust_tokens(text):
    line = 1
    for found in RUST.finditer(text):
        if found.lastgroup != "space":
            yield found.lastgroup, found.group(), line
        line += found.group().count("\n")


def rust(before, after, modules):
    old, new = list(rust_tokens(before)), list(rust_tokens(after))
    if len(old) != len(new):
        return 0, [f"{len(old)} tokens became {len(new)}"]
    places, refuted = 0, []
    for at, ((kind, was, line), (_, now, _)) in enumerate(zip(old, new)):
        if was == now:
            continue
        places += 1
        follows = [token[1] for token in old[at + 1 : at + 3]]
        if not (kind == "word" and (was, now) == ("std", "core") and follows[:1] == ["::"] and follows[1] in modules):
            refuted.append(f"line {line}: `{was}` became `{now}`")
    return places, refuted


def review(task):
    before, after = (git("show", f"{tree}:{task['file']}") for tree in (task["base"], task["branch"]))
    changed = git("diff", "--name-only", task["base"], task["branch"]).split("\n")[:-1]
    if task["method"] == "rust":
        places, refuted = rust(before, after, task["modules"])
    else:
        judge = percent if task["method"] == "percent" else by_shapes(task)
        places, refuted = python(before, after, judge)
    if changed != [task["file"]]:
        refuted.append(f"other files are changed: {changed}")
    if places == 0:
        refuted.append("the text is changed and the program is not")
    return {"places": places, "refuted": refuted}


def same(task):
    """The files in which a branch with many is not what was reviewed."""
    blob = lambda branch, file: git("rev-parse", f"{branch}:{file}")
    wrong = [one["file"] for one in task["reviewed"] if blob(task["branch"], one["file"]) != blob(one["branch"], one["file"])]
    changed = git("diff", "--name-only", task["base"], task["branch"]).splitlines()
    return wrong + sorted(set(changed) - {one["file"] for one in task["reviewed"]})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    task = json.loads(json.load(sys.stdin)["prompt"])
    answer = {"discover": discover, "review": review, "same": same}[task["task"]](task)
    print(json.dumps({"value": answer}))
