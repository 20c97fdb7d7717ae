// BullMQ: `node on_bullmq.mjs` is the producer, `node on_bullmq.mjs worker` the worker. Same conversation as bench.py.
import { closeSync, openSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const { Queue, Worker } = createRequire(process.env.BENCH_MODULES + "/")("bullmq");
const server = new URL(process.env.BENCH_URL);
const connection = { host: server.hostname, port: Number(server.port), maxRetriesPerRequest: null };
const tuned = process.env.BENCH_SETTING === "tuned";
const second = (process.env.BENCH_DUE ?? "second") === "second";
const marks = openSync(process.env.BENCH_MARKS, "a");

const mark = (label) => {
  const wall = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));
  writeSync(marks, `${label} ${process.hrtime.bigint()} ${wall}\n`);
};

const tasks = {
  coroutine: async () => {},
  sleep_coroutine: async () => pause(1),
  stamp: async (job) => mark(job.data.sent),
  tick: async () => mark("tick"),
};

function work() {
  const options = tuned ? { concurrency: 100, removeOnComplete: { count: 0 } } : {};
  const worker = new Worker("bench", (job) => tasks[job.name](job), { connection, ...options });
  worker.on("error", (error) => console.error(error));
  process.on("SIGTERM", async () => { await worker.close(); process.exit(0); });
}

async function produce() {
  const queue = new Queue("bench", { connection });
  await queue.waitUntilReady();
  const bulk = async ({ task, count }) => {
    for (let start = 0; start < count; start += 1000) {
      const some = Math.min(1000, count - start);
      await queue.addBulk(Array.from({ length: some }, () => ({ name: task, data: {} })));
    }
  };
  const ways = {
    single: async ({ task, count }) => {
      for (let number = 0; number < count; number++) await queue.add(task, {});
    },
    bulk,
    fill: bulk,
    paced: async ({ count, per_s }) => {
      const first = performance.now() + 50;
      for (let number = 0; number < count; number++) {
        const wait = first + (number * 1000) / per_s - performance.now();
        if (wait > 0) await pause(wait);
        await queue.add("stamp", { sent: String(process.hrtime.bigint()) });
      }
    },
    register: async ({ count }) => {
      const pattern = second ? "* * * * * *" : "0 0 1 1 *";
      for (let start = 0; start < count; start += 200) {
        const some = Array.from({ length: Math.min(200, count - start) }, (_, index) => start + index);
        await Promise.all(some.map((number) => queue.upsertJobScheduler(`tick-${number}`, { pattern }, { name: "tick" })));
      }
    },
  };
  console.log(JSON.stringify({ ready: true }));
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    const cpu = process.cpuUsage();
    const began = performance.now();
    await ways[command.do](command);
    const seconds = (performance.now() - began) / 1000;
    const spent = process.cpuUsage(cpu);
    console.log(JSON.stringify({ seconds, cpu: (spent.user + spent.system) / 1e6 }));
  }
  closeSync(marks);
  process.exit(0);
}

if (process.argv[2] === "worker") work();
else await produce();
