// What pages do beyond HTML: nothing that cannot be done without it.
