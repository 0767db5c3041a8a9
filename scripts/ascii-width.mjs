// Stands in for string-width in the bundles. yargs measures its help columns with it, and our help is ASCII; the original makes two
// Intl.Segmenter and compiles emoji tables when it is loaded, which is a quarter of the start-up of every command.
/** Columns of printable ASCII text. */
const asciiWidth = (text) => text.length;
// oxlint-disable-next-line import/no-default-export -- it is imported as the original is
export default asciiWidth;
