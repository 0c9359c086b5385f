// Rows of text to times and numbers.  What cannot be read is counted and told, never guessed.

export const MOST_POINTS = 8640;
const EMPTY = new Set(["", "na", "nan", "null", "none", "-"]);

/** The delimiter that the first line has most of. */
function delimiterOf(text) {
  const first = text.slice(0, text.search(/[\r\n]|$/));
  return [",", ";", "\t"].reduce((best, one) => (count(first, one) > count(first, best) ? one : best));
}

/** Cells of a CSV text, quoted or not. */
export function cells(text, delimiter) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') { cell += '"'; at++; }
      else quoted = false;
    } else if (letter === '"' && cell.trim() === "") { quoted = true; cell = ""; }
    else if (letter === delimiter) { row.push(cell.trim()); cell = ""; }
    else if (letter === "\n" || letter === "\r") {
      row.push(cell.trim());
      if (row.some((one) => one !== "")) rows.push(row);
      row = []; cell = "";
    } else cell += letter;
  }
  row.push(cell.trim());
  if (row.some((one) => one !== "")) rows.push(row);
  return rows;
}

const count = (text, letter) => text.split(letter).length;

/** A number, or NaN; a comma is a decimal comma only where cells are not divided by it. */
export function number(cell, decimalComma) {
  if (EMPTY.has(cell.toLowerCase())) return NaN;
  const value = Number(decimalComma && /^[-+]?\d+,\d+$/.test(cell) ? cell.replace(",", ".") : cell);
  return Number.isFinite(value) ? value : NaN;
}

/** Milliseconds since 1970 of ISO 8601 (without zone: UTC) or of epoch seconds, ms, us, ns; NaN for anything else. */
export function time(cell) {
  if (/^\d{9,19}(\.\d+)?$/.test(cell)) {
    let value = Number(cell);
    while (value > 3e11) value /= 1000; // beyond the year 11476: a finer unit
    return Math.round(value * 1000);
  }
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)? ?(Z|[+-]\d\d:?\d\d)?$/i.exec(cell);
  if (!match) return NaN;
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "0", zone = "Z"] = match;
  const offset = zone.toUpperCase() === "Z" ? "Z" : zone.slice(0, 3) + ":" + zone.slice(-2);
  const part = `.${fraction.padEnd(3, "0").slice(0, 3)}`;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${part}${offset}`);
}

const share = (rows, column, read) => {
  const filled = rows.filter((row) => !EMPTY.has((row[column] ?? "").toLowerCase()));
  return filled.length ? filled.filter((row) => !Number.isNaN(read(row[column]))).length / filled.length : 0;
};

/**
 * A table: names of the columns, rows, which columns are numbers and how they are read, and which one is the time (-1 if
 * none is).
 * Throws an Error with a sentence for the reader.
 */
export function table(text) {
  const plain = text.replace(/^\uFEFF/, ""), delimiter = delimiterOf(plain);
  const all = cells(plain, delimiter), toNumber = (cell) => number(cell, delimiter !== ",");
  if (!all.length) throw new Error("There are no rows.");
  const width = Math.max(...all.slice(0, 50).map((row) => row.length));
  const header = all[0].every((cell) => Number.isNaN(toNumber(cell)) && Number.isNaN(time(cell)));
  const names = Array.from({ length: width }, (_, at) => (header && all[0][at]) || `column ${at + 1}`);
  const rows = header ? all.slice(1) : all;
  if (!rows.length) throw new Error("There is a header, but no rows below it.");
  const some = rows.slice(0, 200), columns = names.map((_, at) => at);
  const isTime = (at) => share(some, at, time) > 0.9;
  const named = (at) => /^(timestamp|datetime|time|ts|date)$/i.test(names[at]);
  const timeColumn = columns.find((at) => named(at) && isTime(at)) ?? columns.find(isTime) ?? -1;
  const numeric = columns.filter((at) => at !== timeColumn && share(some, at, toNumber) > 0.5);
  if (!numeric.length) throw new Error(`No column of numbers in ${rows.length} rows (columns: ${names.join(", ")}).`);
  return { names, rows, numeric, timeColumn, toNumber };
}

/** Points of one column in time order, and notes about what was left out. */
export function points({ names, rows, toNumber }, timeColumn, valueColumn) {
  const notes = [], found = [];
  let bad = 0, badTime = 0;
  for (const row of rows) {
    const value = toNumber(row[valueColumn] ?? "");
    const at = timeColumn < 0 ? found.length : time(row[timeColumn] ?? "");
    if (Number.isNaN(value)) bad++;
    else if (Number.isNaN(at)) badTime++;
    else found.push({ at, value });
  }
  if (bad) notes.push(`${bad} of ${rows.length} rows have no number in ${names[valueColumn]} and are left out.`);
  if (badTime) notes.push(`${badTime} rows have no time in ${names[timeColumn]} and are left out.`);
  if (found.some((point, at) => at && point.at < found[at - 1].at)) {
    found.sort((one, other) => one.at - other.at);
    notes.push("The rows were not in time order and have been sorted.");
  }
  const left = found.length - MOST_POINTS;
  if (left > 0) notes.push(`The service takes ${MOST_POINTS} points: the first ${left} are left out.`);
  return { points: found.slice(-MOST_POINTS), notes };
}

const DAY = 86400000;
const STEPS = [["weekly", 7 * DAY], ["daily", DAY], ["hourly", 3600000], ["minutely", 60000], ["secondly", 1000]];

/** Granularity and its multiple that fit the usual step of the times. */
export function granularity(points) {
  const steps = points.slice(1).map((point, at) => point.at - points[at].at).filter((step) => step > 0);
  if (!steps.length) return ["none", 1];
  const step = steps.sort((one, other) => one - other)[steps.length >> 1];
  if (step >= 28 * DAY && step <= 31 * DAY) return ["monthly", 1];
  if (step === 365 * DAY || step === 366 * DAY) return ["yearly", 1];
  for (const [name, unit] of STEPS) if (step % unit === 0) return [name, step / unit];
  return step % 1 === 0 ? ["microsecond", step] : ["none", 1]; // the service's microsecond is a millisecond
}
