// The report as text: a table for each part, then each target with what was measured, met or missed.

export function printReport({ machine, rounds, quick, parts }) {
  console.log(`${machine.cpus} × ${machine.cpu}, ${machine.memoryGb} GB, Linux ${machine.kernel}, Node ${machine.node}`);
  console.log(`medians of ${rounds} rounds${quick ? '; --quick: smaller amounts, for a first look only' : ''}`);
  const width = Math.max(...parts.flatMap((part) => part.rows.map((row) => [...row.name].length)));
  for (const part of parts) {
    console.log(`\n${part.title}`);
    for (const row of part.rows) console.log(`  ${row.name.padEnd(width)}  ${figures(row, part.unit)}`);
  }
  printTargets(parts.flatMap((part) => part.targets));
}

function printTargets(targets) {
  const width = Math.max(0, ...targets.map((target) => [...target.what].length));
  console.log('\ntargets');
  for (const { what, measured, met } of targets) {
    console.log(`  ${verdictOf(met).padEnd(6)}  ${what.padEnd(width)}  ${measured ?? 'the peer is not installed'}`);
  }
  const count = (met) => targets.filter((target) => target.met === met).length;
  console.log(`\n${count(true)} met, ${count(false)} missed, ${count(undefined)} open`);
}

function verdictOf(met) {
  if (met === undefined) return 'open';
  return met ? 'met' : 'missed';
}

function figures(row, unit) {
  if (row.lacks !== undefined) return `${row.lacks} is not installed`;
  const [least, most] = [Math.min(...row.values), Math.max(...row.values)];
  return `${rounded(row.median).padStart(8)} ${unit}   (${rounded(least)} to ${rounded(most)})`;
}

function rounded(number) {
  return Math.abs(number) >= 1000 ? number.toFixed(0) : number.toFixed(Math.abs(number) >= 100 ? 1 : 2);
}
