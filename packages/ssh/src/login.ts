// A host that is logged in to.
export {};
