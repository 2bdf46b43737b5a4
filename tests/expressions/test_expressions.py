"""The expression language: precedence, types, both spellings, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hepdann.errors import ConfigError
from hepdann.expressions import parse

COLUMNS = {
    "a": np.array([1.0, 2.0, 3.0], dtype=np.float32),
    "b": np.array([0.5, -2.0, 10.0]),
    "n": np.array([-3, 0, 5], dtype=np.int8),
    "u": np.array([2**63, 1, 2**64 - 1], dtype=np.uint64),
    "flag": np.array([True, False, True]),
    "x[1]": np.array([4.0, 5.0, 6.0]),
    "jet.pt": np.array([7.0, 8.0, 9.0]),
    "jet-pt": np.array([7.0, 8.0, 9.0]),
}


def value(text):
    return parse(text).evaluate(COLUMNS.__getitem__, 3).tolist()


def refused(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, what="cut").evaluate(COLUMNS.__getitem__, 3)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("cut")
    return str(caught.value)


@pytest.mark.parametrize(
    ("root", "python"),
    [
        ("a > 1 && b < 2", "a > 1 and b < 2"),
        ("a > 2 || b < 0 && flag", "a > 2 or b < 0 and flag"),
        ("!(a > 1)", "not a > 1"),
        ("TMath::Abs(n)", "abs(n)"),
        ("TMath::Max(a, b)", "max(a, b)"),
        ("TMath::Power(a, 2)", "a**2"),
        ("a^2", "a**2"),
        ("flag ? a : b", "where(flag, a, b)"),
        ("n == 5 ? 1 : a > 1 ? 2 : 3", "where(n == 5, 1, where(a > 1, 2, 3))"),
        ("TMath::Pi()*a", f"{math.pi}*a"),
        ("true && flag", "True and flag"),
    ],
)
def test_root_and_python_spellings_agree(root, python):
    assert value(root) == value(python)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-a**2", [-1, -4, -9]),
        ("2**-1", [0.5] * 3),
        ("2**3**2", [512] * 3),
        ("a - 1 - 1", [-1, 0, 1]),
        ("8/2/2", [2.0] * 3),
        ("a*-1", [-1, -2, -3]),
        ("a -1", [0, 1, 2]),
        ("1 + 2*a", [3, 5, 7]),
        ("a == 1 || a == 2 && flag", [True, False, False]),
        ("!flag || a > 2", [False, True, True]),
        ("!n", [False, True, False]),
        ("1.e-3*a > .0015", [False, True, True]),
        ("0x10 + n", [13, 16, 21]),
        ("`jet-pt` + jet.pt + x[1]", [18, 21, 24]),
        ("(a > 1) * 2 + (b > 0)", [1, 2, 3]),
        ("log(n)", pytest.approx([math.nan, -math.inf, math.log(5)], nan_ok=True)),
        ("n / 0", pytest.approx([-math.inf, math.nan, math.inf], nan_ok=True)),
        ("min(a, b, 2)", [0.5, -2, 2]),
        ("hypot(3, 4)", [5.0] * 3),
        ("mass(30, 1, 2, 5)", pytest.approx([5.0] * 3)),
        ("mass(40, 0.3, 1, 0, 40, 0.3, 4.14159265, 0) * a", pytest.approx([80, 160, 240])),
    ],
)
def test_precedence_and_functions(text, expected):
    assert value(text) == expected


def test_a_chain_of_comparisons_is_meant_as_in_mathematics():
    assert value("1 < a < 3") == [False, True, False]
    assert value("0 <= n <= 5 > 4") == [False, True, True]


def test_nan_counts_as_false():
    assert value("log(-a) || flag") == value("flag")
    assert value("log(-a) && flag") == [False] * 3
    assert value("!log(-a)") == [True] * 3
    assert value("log(-a) ? 1 : 2") == [2, 2, 2]


def test_an_index_is_a_whole_number_and_may_count_from_the_end():
    assert parse("x[-1] / y[ 0 ]").names == ("x[-1]", "y[0]")


def test_narrow_and_unsigned_integers_do_not_wrap():
    assert value("n * 100") == [-300, 0, 500]
    assert value("n - 200") == [-203, -200, -195]
    assert value("1 - u")[1:] == [0, pytest.approx(-(2.0**64))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("i + i", 1.8e19), ("i - (-i)", 1.8e19), ("i * i", 8.1e37), ("-low", 2.0**63),
        ("abs(low)", 2.0**63), ("low - 1 < 0", 1), ("i + i + i", 2.7e19), ("low - i", -1.822e19),
    ],
)  # fmt: skip
def test_64_bit_integers_do_not_wrap(text, expected):
    columns = {"i": np.array([9 * 10**18]), "low": np.array([-(2**63)])}
    found = parse(text).evaluate(columns.__getitem__, 1)
    assert found.tolist() == [pytest.approx(expected, rel=1e-3)]


def test_sums_of_64_bit_integers_that_fit_are_exact():
    columns = {"i": np.array([2**60 + 1])}
    assert parse("(i + 1) % 4").evaluate(columns.__getitem__, 1).tolist() == [2]
    assert parse("(i - 1) & 3").evaluate(columns.__getitem__, 1).tolist() == [0]


def test_64_bit_integers_are_compared_exactly():
    assert value("u == 18446744073709551615") == [False, False, True]
    assert value("u > 18446744073709551614") == [False, False, True]


def test_constants_are_not_rounded_to_float32():
    column = {"x": np.array([0.1], dtype=np.float32)}
    expression = parse("x == 0.1")
    assert not expression.evaluate(column.__getitem__, 1)[0]  # as in ROOT: float 0.1 != 0.1


def test_single_ampersand_joins_bracketed_conditions_and_masks_bits():
    assert value("(a > 1) & (b < 0)") == [False, True, False]
    assert value("n & 4") == [4, 0, 4]
    assert value("(n & 4) == 4") == [True, False, True]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a > 1 & b < 2", "brackets"),
        ("n & 4 == 4", "brackets"),
        ("a == 1 == 1", "brackets"),
        ("a < 1 == flag", "brackets"),
        ("a = 1", "write == to compare"),
        ("a & b", "needs conditions or integers"),
        ("(a > 1)^2", "a condition has none"),
        ("a >", "a value is missing"),
        ("", "a value is missing"),
        ("(a", "')' is expected"),
        ("a b", "'b' is not expected"),
        ("sqr(a)", "did you mean 'sqrt'?"),
        ("abs(a, b)", "takes 1 values, 2 are given"),
        ("mass(a, b, a, b, a)", "takes 4, 8, … values, 5 are given"),
        ("x[a]", "must be a whole number"),
        ("a $ b", "cannot be read from '$ b' on"),
        ("__import__('os')", "cannot be read"),
        ("a if flag else b", "'if' is not expected"),
        ("[a for a in b]", "a value is missing"),
        ("lambda: a", "not expected"),
        ("(" * 2000 + "a" + ")" * 2000, "nested too deeply"),
        ("a" + "+a" * 4000, "nested too deeply"),
        ("1+" * 6000 + "1", "longer than"),
    ],
)
def test_what_has_no_clear_meaning_is_refused(text, told):
    assert told in refused(text)


def test_an_attribute_is_a_branch_name_and_nothing_else():
    assert parse("a.__class__").names == ("a.__class__",)


def test_nan_does_not_pass_a_cut():
    column = {"x": np.array([np.nan, 0.0, 2.0])}
    assert parse("x").condition(column.__getitem__, 3).tolist() == [False, False, True]
    assert parse("x > 1").condition(column.__getitem__, 3).tolist() == [False, False, True]


def test_names_come_once_each_in_order():
    assert parse("pt*cos(phi) + x[2] - pt").names == ("pt", "phi", "x[2]")


NUMBERS = st.sampled_from(["1", "2.5", "p", "q", "r"])
ARITHMETIC = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
    ),
    max_leaves=8,
)
COMPARISON = st.tuples(ARITHMETIC, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), ARITHMETIC)
LOGIC = st.recursive(
    COMPARISON.map(" ".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("not {}".format),
    ),
    max_leaves=6,
)


@given(text=st.one_of(ARITHMETIC, LOGIC), p=st.floats(-9, 9), q=st.floats(-9, 9))
def test_the_value_is_pythons_own(text, p, q):
    names = {"p": p, "q": q, "r": 3.0}
    try:
        expected = eval(text, {}, names)
    except (ZeroDivisionError, OverflowError, TypeError):  # TypeError: Python went complex
        assume(False)
    assume(not isinstance(expected, complex))
    columns = {name: np.array([number]) for name, number in names.items()}
    (found,) = parse(text).evaluate(columns.__getitem__, 1).tolist()
    assume(not isinstance(expected, float) or math.isfinite(expected))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(text=st.text(max_size=30))
def test_any_text_parses_or_is_refused_in_one_line(text):
    try:
        parse(text)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("weight", "weight"), ("0.39 * weight", "weight"), ("(weight * 2) / 3", "weight"),
        ("2 * `mc-weight` * 3", "mc-weight"), ("2 / weight", None), ("a * b", None),
        ("abs(a)", None), ("-a", None), ("2", None),
    ],
)  # fmt: skip
def test_a_column_times_constants_is_known_as_that_column(text, name):
    assert parse(text).scaled_name == name
