// A pod that does nothing by itself: scenarios run programs in it.
setInterval(() => undefined, 60_000);
process.once('SIGTERM', () => process.exit(0));
