// Loaded into a Heddle before its own code: measures how long the main thread is kept from its event loop. JavaScript, because
// threads that load TypeScript have more memory. Orders come from the process that started it: `begin`, and `end`, which is
// answered with figures.
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const LOOK_MS = 5;
const KEPT = 5;

if (isMainThread) {
  let timer;
  let stops = [];
  let collectionMs = 0;
  let collectionsMs = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      collectionMs = Math.max(collectionMs, duration);
      collectionsMs += duration;
    }
  });

  const begin = () => {
    clearInterval(timer);
    stops = [];
    collectionMs = 0;
    collectionsMs = 0;
    observer.observe({ entryTypes: ['gc'] });
    let lastMs = performance.now();
    let last = process.threadCpuUsage();
    timer = setInterval(() => {
      const nowMs = performance.now();
      const now = process.threadCpuUsage();
      // Of the processor's time, because on a machine with other work a thread also waits for its turn.
      const busyMs = (now.user - last.user + now.system - last.system) / 1000;
      stops.push({ blockedMs: nowMs - lastMs - LOOK_MS, busyMs });
      if (stops.length > 1000) stops = longest(stops);
      lastMs = nowMs;
      last = now;
    }, LOOK_MS);
    timer.unref();
  };

  const end = () => {
    clearInterval(timer);
    observer.disconnect();
    return { longest: longest(stops), collectionMs, collectionsMs };
  };

  process.on('message', (order) => {
    if (order === 'begin') begin();
    if (order === 'end') process.send(end());
  });
  process.channel.unref();
}

function longest(stops) {
  const byWall = stops.toSorted((a, b) => b.blockedMs - a.blockedMs).slice(0, KEPT);
  const byWork = stops.toSorted((a, b) => b.busyMs - a.busyMs).slice(0, KEPT);
  return [...new Set([...byWall, ...byWork])];
}
