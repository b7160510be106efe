/**
 * What on a page cannot be read whole: the page is wider than the window, text is cut off and nothing else tells it, stands outside
 * of its panel, or over other text. Looks at what is laid out; what someone may scroll to is there.
 */
export function whatIsCut(page) {
  return page.evaluate(() => {
    const found = [];
    const width = document.documentElement.clientWidth;
    const over = document.documentElement.scrollWidth - width;
    if (over > 0) {
      found.push(`the page is ${over} px wider than the window`);
    }
    const seen = (element) => {
      const box = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      return box.width > 0 && box.height > 0 && style.visibility !== 'hidden' && style.clipPath === 'none' && element.closest('.visually-hidden, .skip, [hidden]') === null;
    };
    const scrolled = (element) => element.closest('.ribbon, .grid') !== null;
    const titled = (element) => element.closest('[title]') !== null || element.querySelector('[title]') !== null;
    const words = (element) => `${element.className || element.tagName} "${element.textContent.trim().slice(0, 40)}"`;
    const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
    // of its own text, without that of what is in it
    const box = (element) => {
      const boxes = [...element.childNodes].filter((node) => node.nodeType === 3 && node.textContent.trim() !== '').map((node) => {
        const range = document.createRange();
        range.selectNodeContents(node);
        return range.getBoundingClientRect();
      });
      return { left: Math.min(...boxes.map(({ left }) => left)), right: Math.max(...boxes.map(({ right }) => right)), top: Math.min(...boxes.map(({ top }) => top)), bottom: Math.max(...boxes.map(({ bottom }) => bottom)) };
    };

    const elements = [...document.querySelectorAll('body *')].filter((element) => !(element instanceof SVGElement) && seen(element));
    for (const element of elements) {
      const style = getComputedStyle(element);
      // the name of the page makes room for a word about trouble
      const hides = /hidden|clip/.test(style.overflowX) && element.textContent.trim() !== '' && element.closest('.brand') === null;
      if (hides && element.scrollWidth > element.clientWidth + 1 && !titled(element)) {
        found.push(`cut at its end: ${words(element)}, ${element.scrollWidth} px in ${element.clientWidth}`);
      }
      if (hides && element.scrollHeight > element.clientHeight + 4) {
        found.push(`cut below: ${words(element)}, ${element.scrollHeight} px in ${element.clientHeight}`);
      }
      if (own(element) && !scrolled(element)) {
        const panel = element.closest('.panel')?.getBoundingClientRect();
        const text = box(element);
        if (text.right > width + 1 || (panel !== undefined && !titled(element) && (text.right > panel.right - 3 || text.bottom > panel.bottom - 2))) {
          found.push(`outside of its panel: ${words(element)}`);
        }
      }
    }
    // words of one line, which goes on in the next
    const flows = (one, other) => one.parentElement === other.parentElement && getComputedStyle(one).display === 'inline' && getComputedStyle(other).display === 'inline';
    for (const root of document.querySelectorAll('.panel, .header, .banner')) {
      const texts = elements.filter((element) => root.contains(element) && own(element) && !scrolled(element) && element.closest('.brand, .chart-tip, .plot, .panel-event, .gauge-text') === null).map((element) => ({ element, at: box(element) }));
      texts.forEach(({ element, at }, index) => {
        for (const other of texts.slice(index + 1)) {
          const across = Math.min(at.right, other.at.right) - Math.max(at.left, other.at.left);
          const down = Math.min(at.bottom, other.at.bottom) - Math.max(at.top, other.at.top);
          if (across > 2 && down > 4 && !element.contains(other.element) && !other.element.contains(element) && !titled(element) && !flows(element, other.element)) {
            found.push(`over one another: ${words(element)} and ${words(other.element)}`);
          }
        }
      });
    }
    return [...new Set(found)];
  });
}
