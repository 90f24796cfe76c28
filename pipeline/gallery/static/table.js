// decisions.csv: written for spreadsheets and `pipeline review`, read back from either.
"use strict";

(function () {
  const { part } = gallery;
  const COLUMNS = ["id", "decision", "note", "prompt_mode", "fingerprint", "decided_at", "take"];

  /** A spreadsheet would take such a cell for a formula. The apostrophe in front stops it;
   * `pipeline review` and `read` take it away again. */
  const FORMULA = /^[\t\r=+\-@]/;

  function cell(value) {
    const text = FORMULA.test(value) ? `'${value}` : value;
    return /[",;\r\n\t]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /** RFC 4180 with a byte order mark: spreadsheets then read it as UTF-8. */
  function write(rows) {
    const lines = [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name] ?? ""))];
    return `\ufeff${lines.map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
  }

  /** Rows of cells; the separator is the one of the first line. */
  function parse(text) {
    const source = text.replace(/^\ufeff/, "");
    const head = source.slice(0, source.search(/[\r\n]|$/));
    const comma = [";", "\t", ","].find((mark) => head.includes(mark)) ?? ",";
    const rows = [];
    let row = [];
    let value = "";
    let quoted = false;
    for (let k = 0; k < source.length; k += 1) {
      const letter = source[k];
      if (quoted) {
        if (letter !== '"') value += letter;
        else if (source[k + 1] === '"') {
          value += '"';
          k += 1;
        } else quoted = false;
      } else if (letter === '"' && value === "") quoted = true;
      else if (letter === comma) {
        row.push(value);
        value = "";
      } else if (letter === "\n" || letter === "\r") {
        if (letter === "\r" && source[k + 1] === "\n") k += 1;
        rows.push([...row, value]);
        row = [];
        value = "";
      } else value += letter;
    }
    if (quoted) throw new Error("a quoted cell does not end: the file is cut off");
    if (value || row.length) rows.push([...row, value]);
    return rows.filter((cells) => cells.some((text) => text.trim()));
  }

  /** Objects by column; each with its `line`. Raises an Error that says what is wrong. */
  function read(text) {
    const [head, ...rows] = parse(text);
    const names = (head ?? []).map((name) => name.trim().toLowerCase());
    for (const needed of ["id", "decision"]) {
      if (!names.includes(needed)) throw new Error(`it has no column '${needed}'`);
    }
    return rows.map((cells, number) => {
      const row = { line: number + 2 };
      names.forEach((name, k) => {
        if (COLUMNS.includes(name)) row[name] = (cells[k] ?? "").replace(/^'(?=[\t\r=+\-@])/, "");
      });
      row.decision = row.decision.trim().toLowerCase();
      return row;
    });
  }

  part.table = { write, read };
})();
