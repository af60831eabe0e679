import{a as o,b as r}from"/app/chunk-EN2WAM6O.js";import"/app/chunk-ZRDFW7JH.js";import"/app/chunk-M7SDJEMW.js";export{o as askConflict,r as askConflicts};
