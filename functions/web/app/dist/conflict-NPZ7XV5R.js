import{a as o,b as r,c as m}from"/app/chunk-LE7D7WS4.js";import"/app/chunk-UWGIIJBM.js";import"/app/chunk-3UDJEJUD.js";export{o as UNCOUNTED,r as askConflict,m as askConflicts};
