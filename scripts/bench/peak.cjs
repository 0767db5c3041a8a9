// With node --require: leaves in $BENCH_PEAK the most bytes that the process had in memory.
process.once('exit', () => require('node:fs').writeFileSync(process.env.BENCH_PEAK, `${process.resourceUsage().maxRSS * 1024}`));
