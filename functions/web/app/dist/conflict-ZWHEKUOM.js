import{a as o,b as r}from"/app/chunk-5MXML5BM.js";import"/app/chunk-LTDRNXVA.js";import"/app/chunk-CVFUNO64.js";export{o as askConflict,r as askConflicts};
