import{a as e}from"/app/chunk-ZEPBEGPX.js";export{e as default};
