// What a median must reach, said and judged. A target whose peer is not installed is not judged: `met` is undefined.

/** One median at least, or at most, a multiple of another: `atLeast('dcat', 2.5, 'socat')`. */
export function atLeast(own, factor, peer) {
  return ratio({ own, factor, peer, sign: '≥', isMet: (measured) => measured >= factor });
}

export function atMost(own, factor, peer) {
  return ratio({ own, factor, peer, sign: '≤', isMet: (measured) => measured <= factor });
}

/** One median at most another and so much more: `atMostPlus('dls', 'dcat --version', { extra: 60, unit: 'ms' })`. */
export function atMostPlus(own, peer, { extra, unit }) {
  return judge(`${own} ≤ ${peer} + ${extra} ${unit}`, [own, peer], ([left, right]) => ({
    measured: `${left < right ? '−' : '+'} ${Math.abs(left - right).toFixed(1)} ${unit}`,
    value: left - right,
    met: left - right <= extra,
  }));
}

/** One median at most a multiple of another and so much more. */
export function atMostTimesPlus({ own, factor, peer, extra, unit }) {
  return judge(`${own} ≤ ${factor} × ${peer} + ${extra} ${unit}`, [own, peer], ([left, right]) => ({
    measured: `${(left / right).toFixed(2)} ×, ${left < right ? '−' : '+'} ${Math.abs(left - right).toFixed(1)} ${unit}`,
    value: left / right,
    met: left <= factor * right + extra,
  }));
}

/** One median at most a fixed figure. */
export function below(own, limit, unit) {
  return judge(`${own} ≤ ${limit} ${unit}`, [own], ([value]) => ({
    measured: `${value.toFixed(1)} ${unit}`,
    value,
    met: value <= limit,
  }));
}

/** One median at least a fixed figure. */
export function above(own, limit, unit) {
  return judge(`${own} ≥ ${limit} ${unit}`, [own], ([value]) => ({
    measured: `${value.toFixed(1)} ${unit}`,
    value,
    met: value >= limit,
  }));
}

function ratio({ own, factor, peer, sign, isMet }) {
  return judge(`${own} ${sign} ${factor} × ${peer}`, [own, peer], ([left, right]) => ({
    measured: `${(left / right).toFixed(2)} ×`,
    value: left / right,
    met: isMet(left / right),
  }));
}

function judge(what, names, verdict) {
  return (medians) => {
    const numbers = names.map((name) => medians[name]);
    return numbers.includes(undefined) ? { what } : { what, ...verdict(numbers) };
  };
}
