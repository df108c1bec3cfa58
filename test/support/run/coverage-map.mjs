// Whose processes are not counted. The demo's run the whole service by another loader than tap's, and where two loaders
// have compiled one file its figures are wrong: one line, all of it covered.
const uncounted = ['test/dev/demo.test.ts']

/** What a test file covers: nothing, or whatever it loads. */
export default (testFile) => (uncounted.includes(testFile) ? null : [])
