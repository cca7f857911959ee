// Package console is the cloud in a browser, at /console/: it answers one question, what
// does an operator see and do? Everything that the source document's reader does in the
// platform's console can be done here, in English and in Chinese.
//
// It has no rules. What a form says becomes a command of package simulator, the same that
// the cloud API makes of its parameters, and what the model refuses is shown beside the
// field that it names, in the model's words. Lists are read from the store.
//
// The promise: a page works without JavaScript; what a user may not reach is not found
// (F5), in the words that it would be if it did not exist; whoever has a user's name has
// not its password, and not many guesses at it; and nothing that a user or a device has
// written is ever more than text on a page (F10).
//
// Trust: names, descriptions and what devices report are a stranger's. A page carries no
// script and no style of its own, the headers forbid them, and another site can neither
// frame a page nor send a form to it.
package console
