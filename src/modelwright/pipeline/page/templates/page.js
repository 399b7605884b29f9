(function () {
  "use strict";
  var root = document.documentElement;
  function speak(language) {
    root.dataset.lang = root.lang = language;
    document.querySelectorAll("[data-zh]").forEach(function (field) {
      if (!field.dataset.en) field.dataset.en = field.placeholder;
      field.placeholder = language === "zh" ? field.dataset.zh : field.dataset.en;
      field.setAttribute("aria-label", field.placeholder);
    });
    document.querySelectorAll("[data-set]").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.dataset.set === language));
    });
  }
  var kept = null;
  try { kept = localStorage.getItem("modelwright-language"); } catch (error) { kept = null; }
  speak(kept === "en" || kept === "zh" ? kept : /^zh/i.test(navigator.language || "") ? "zh" : "en");
  document.querySelectorAll("[data-set]").forEach(function (button) {
    button.addEventListener("click", function () {
      speak(button.dataset.set);
      try { localStorage.setItem("modelwright-language", button.dataset.set); } catch (error) { return; }
    });
  });

  function key(row, column) {
    var cell = row.cells[column];
    if (!cell) return "";
    if (!("v" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.v === "" ? -Infinity : Number(cell.dataset.v);
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      head.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") !== "descending";
        if (!head.hasAttribute("aria-sort")) down = head.classList.contains("num");
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        var body = table.tBodies[0];
        Array.prototype.slice.call(body.rows).sort(function (a, b) {
          var x = key(a, column), y = key(b, column);
          var order = typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
          return down ? -order : order;
        }).forEach(function (row) { body.appendChild(row); });
      });
    });
  });
  document.querySelectorAll("input.filter").forEach(function (field) {
    var figure = field.closest("figure");
    field.addEventListener("input", function () {
      var wanted = field.value.toLowerCase();
      figure.querySelectorAll("table.filterable tbody tr").forEach(function (row) {
        row.hidden = wanted !== "" && row.textContent.toLowerCase().indexOf(wanted) < 0;
      });
    });
  });
  document.querySelectorAll("svg.front").forEach(function (front) {
    var tip = front.closest("figure").querySelector(".tip");
    function show(event) {
      var dot = event.target.closest("[data-tip-en]");
      tip.textContent = dot ? dot.dataset[root.dataset.lang === "zh" ? "tipZh" : "tipEn"] : "";
    }
    ["mouseover", "focusin", "click"].forEach(function (name) { front.addEventListener(name, show); });
    ["mouseleave", "focusout"].forEach(function (name) {
      front.addEventListener(name, function () { tip.textContent = ""; });
    });
    front.addEventListener("keydown", function (event) {
      var step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      var dots = Array.prototype.slice.call(front.querySelectorAll("[data-tip-en]"));
      dots.sort(function (a, b) { return parseFloat(a.getAttribute("cx")) - parseFloat(b.getAttribute("cx")); });
      var next = step && dots[dots.indexOf(event.target) + step];
      if (next) { next.focus(); event.preventDefault(); }
    });
  });
  document.querySelectorAll("button.copy").forEach(function (button) {
    button.addEventListener("click", function () {
      var shown = function (cell) { return cell.innerText.replace(/\s+/g, " ").trim(); };
      var rows = button.closest("figure").querySelector("table").rows;
      var text = Array.prototype.map.call(rows, function (row) {
        return Array.prototype.map.call(row.cells, shown).join("\t");
      }).join("\n");
      var field = document.createElement("textarea");
      field.value = text;
      document.body.appendChild(field);
      field.select();
      var copied = document.execCommand("copy");
      field.remove();
      button.focus();
      button.parentNode.querySelector(copied ? ".copied" : ".not-copied").hidden = false;
      button.parentNode.querySelector(copied ? ".not-copied" : ".copied").hidden = true;
    });
  });
  document.querySelectorAll("svg.heat").forEach(function (heat) {
    var labels = heat.querySelectorAll(".cell-label");
    heat.addEventListener("mouseover", function (event) {
      var cell = event.target.closest("[data-r],[data-c]");
      labels.forEach(function (label) {
        var on = cell && ((label.dataset.r && label.dataset.r === cell.dataset.r) || (label.dataset.c && label.dataset.c === cell.dataset.c));
        label.classList.toggle("on", Boolean(on));
      });
    });
  });
})();
