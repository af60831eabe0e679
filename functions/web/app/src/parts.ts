// What is not needed for the first list, but soon after it, in one request.
export * from "./account";
export * from "./sharing";
